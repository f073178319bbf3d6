"""What keys of documents mean, with units: one sentence per name, wherever it stands."""

from __future__ import annotations

TEXT = """
a: figure of the first run
absorbed: nodes of the user's file that no node of the network came from
accepted: whether the promise was kept on the images it was tested with
accesses: reads and writes per operand and memory: counts, bits, energy in pJ
accuracy: share of images answered rightly, 0 to 1, on test unless it says otherwise
accuracy_ci95: 95 % Wilson interval of the accuracy, 0 to 1
accuracy_float: accuracy on test of the network in float, 0 to 1
accuracy_lowered: accuracy on test with integer operators, 0 to 1
accuracy_quant: accuracy on test in Q/DQ form, 0 to 1
accuracy_quant_ci95: its 95 % Wilson interval, 0 to 1
accuracy_val: accuracy on validation images, 0 to 1
activation: bits of activations
activation_bits: bits of what the layer reads
against_baseline: of each other run; null: one of them has none
agreement: on how many test images the early-exit files answer as the flat model does
alternatives: models of the chip that differ so, and what is saved by each
answers_changed: share of images answered otherwise than in float, 0 to 1
apart: the head runs only where an input leaves there
areas: core -> part -> area in mm², of described in-memory cores
asked: what was asked for
axis: axis a layer is cut along: K, OY or none
b: figure of the second run
back_cycles: cycles to move back what was moved out
back_pj: energy of moving it back, pJ
baseline: run that others are held against
basis: what was measured that it rests on
before: figures before it was trained on, as the search had them
better: 1: more is better, -1: less is, 0: it is not judged
bgColor: background colour of the node
bits: how many bits
bound: what no schedule can be better than
bound_cycles: fewest cycles the layer can take by its work and its data
boundaries: what an inference has in the memories behind each exit but the last
break_even: which shares of inputs make exits pay
buffer_bytes: static buffers, bytes
bytes: size, bytes
calibration: how ranges follow from what is seen
calibration_error_gate_test: mean distance of the gate's confidence and accuracy on test, 0 to 1
calibration_error_gate_val: mean distance of the gate's confidence and accuracy on val, 0 to 1
calibration_error_test: mean distance of confidence and accuracy on test, before and after fitting, 0 to 1
calibration_error_val: mean distance of confidence and accuracy on val, before and after fitting, 0 to 1
calibration_images: how many training images it was calibrated on
capacity: most it does at once: operations or bits per cycle
capacity_bits: capacity, bits; null: without limit
cause: why models of the chip differ
caution: why savings of this run mean nothing; usually null
change: second minus first
changed: whether the pass changed the network
changes: numbers of the hardware that were set
check: how the outputs compare before and after; null without verification
choices: layer -> schemes it may have
chosen_on: images the thresholds were chosen on
ci95: 95 % interval, paired bootstrap, points
classes: how many classes; null: no classifier
clock_hz: clock, Hz; null where none is known
clocks_ns: core -> part -> delay in ns, of described in-memory cores
command: the command line that makes it again
common: networks on the fronts of several targets
compared_by: keys that points are compared by
complete: no layer of the path was refused
compute: cycles in which it computes
compute_cycles: cycles in which the core computes
confidence: rule by which an exit is sure, or how sure it is, 0 to 1
confidence_parameters: parameters of the rule that are not the usual ones
confidence_shift: mean size of the change of confidence against float, 0 to 1
constant_bytes: weights, biases and numbers of rescaling, bytes
constraint: what is limited
core: core of the accelerator
cores: cores
cores_pj: energy of the cores, pJ
corners: ends of the space
cost: cost by the objective
cost_model: latency model of the target
cost_models: latency models of the target
cost_ratio: expected cost over that of static
curve: what other choices of thresholds would have given
data: images, as given
data_sha256: file -> SHA-256
dataset: name of the images and how many there are of each split; null without images
declined: what was left alone, and why
default: default, as text; null: it must be given
design: what the network is, in words
designs: how many designs
detail: what it rests on
differences: figures of both runs
digest: hash that tells it from others
direction: read or written
divergence: Kullback-Leibler divergence of the answers from those in float, nats
dma_cycles: cycles of transfers of the layer's own
drop: accuracy lost against the network without exits, points, or with its interval
drop_ci95: 95 % interval of the drop, points
drop_on_val: largest drop of an exit on val, points
dynamic_exit: test images that leave model.dynamic.onnx where they should
dynamic_prediction: test images that model.dynamic.onnx answers as it should
early: share that must leave early, with as many at each early exit, 0 to 1; null: none is enough
edp: energy-delay product, as a share of static saved, 0 to 1, or its interval
edp_j_cycles: energy-delay product, J·cycles
edp_js: energy-delay product, J·s; null without a clock
edp_of_means_j_cycles: product of mean energy and mean latency, J·cycles
edp_of_means_js: product of mean energy and mean latency, J·s; null without a clock
end_cycle: when its last tile ends, cycles
energy: energy, in parts or as a share saved
energy_interval: interval of the energy, pJ; null where nothing was measured
energy_pj: energy, pJ
energy_scale: energies are those of the first point times this
energy_scale_source: how the scale is known
entries: what is kept, the most recently used first
epoch_s: seconds an epoch of its training takes on this machine
epochs: how often images were seen in training
equalization: what became of channels around depthwise layers
error: what went wrong
exact: what the exact solver found and proved; null where it was not asked
excess: how far it is over, as a share of what is asked
exit: exit of the network
exits: exits, shallow to deep, the final one last
exits_calibrated: the same before training for integers; empty without
exits_from: metadata, recognised, or none
expected: what an input costs on average at the shares of inputs; null where none were given
exported: files of tables and plots that were written
facts: where it comes from: label -> text
feasible: it keeps all constraints
figures: figures by key, or where figures of hardware come from
file: where it was written
files: files that were written
final_epochs: epochs of the training of finalists
final_head: design of the final head
final_ratio: share of inputs that reach the final exit, 0 to 1
findings: what was looked at
fix: what to do; empty where all is well
fixed_heads: heads were not searched for
float_accuracy: accuracy of each exit in float on val, 0 to 1
float_ci95: 95 % Wilson interval in float, 0 to 1
folder: where files lie
form: float, or the integers
found: figures of the files of this run
free: what costs nothing, and why
from: before
from_cache: steps that were taken from the cache
front: what was measured, a row per choice
fronts: fronts that are laid over each other
fusion: on: layers hold the activations behind them
gained: test images that are right only with exits
gap: how far it is from the bound, as a share of it; null where no bound is known
gate: condition that must not hold
gates: conditions that must not hold, and whether they do
genetic: evaluations of the genetic algorithm, 0 without
gradient: colours from the least to the highest figure
group: number of the fused group; null for none
groups: how many groups are fused
guarantee: what was promised of the drop; null where nothing was
hardware: which hardware it is costed on
head: head of the exit, family and genes; empty: the user's own
healthy: whether the main job can run
hi95: upper end of the 95 % interval, points
high: factor up to which the figure may be off
hint: what to do about it
host_cycles: cycles of the host
host_scale: factor on placeholder costs of host work
host_sensitivity: savings at other costs of host work
hypervolume: volume below the front as a share of the box to the reference
hypervolume_test: the same with figures on test; null where there are none
hypervolume_val: volume below the front as a share of the box to the reference
images: how many images
images_hash: hash of the images and of how they become input
in_memory: what was given in memory, not as a file
inherit: weights came from a sibling
input: bits of inputs
input_shape: shape of the first input, batch 1
input_shapes: shapes of computed inputs
inputs: input or what is read, by name
integers: with which integers it computes, and how they were found
interval: least and most that is saved, as shares of static
intervals: by how much figures may be off; null where nothing was measured
job_cycles: cycles in which the host starts jobs
keep_float: layers kept in float
kept_bits: of weights that lie there for good, bits
kept_thresholds: thresholds are those the network brought
key: dotted key of the figure
kind: what kind it is
kinds: kind -> how many entries, and their bytes
known: measured, published or placeholder
known_error: how far the model is known to be off, in words
label: what the run is
label_share: weight of labels in the loss
latency: latency, in parts or as a share saved
latency_cycles: latency, cycles
latency_interval: interval of the latency, cycles; null where nothing was measured
latency_s: latency, s; null without a clock
layer: layer of the network as the target runs it
layers: layers in the order they run
layout: axes of an image: NCHW or NHWC
level: level of confidence of the promise
levels: operand -> where its loops are cut between memories
levers: what to change
links_pj: energy of moves over links, pJ
lo95: lower end of the 95 % interval, points
load_bits: weights that stay on chip between inferences, bits, each copy counted
load_cycles: cycles of the first loads
load_pj: energy of bringing them, pJ
locality: on: tensors may stay on chip between layers; null: nothing is searched
logits: bits of logits; null: the target's own
loops: temporal loops
loss: increase of the loss on val, nats
loss_nats: increase of the loss on val, nats
lost: test images that are right only without exits
low: factor down to which the figure may be off
lpf_limit: most temporal factors per layer in the search of mappings, or full
machine: Python and system of the machine
macs: multiply-accumulates, or a share of them saved
macs_fraction: share of all multiply-accumulates that run before it, 0 to 1
mapping: how its loops run
max_difference: largest absolute difference of outputs
max_drop: allowed drop, points
mean: subtracted per channel, or a mean
mean_over_static: mean objective over that of static
measured: times on the processor at hand, ms
memories: what lies in each memory
memory: memory of the core
memory_bytes: memory of weights and of the most activations at once, bytes
method: how it was quantized
min_gain: what an exit more must save, points of static
mode: layers, split, fused or rows
model: file name of the network
model_sha256: SHA-256 of the network
models: cost model -> cycles of the deepest path; null: it cannot cost the network
mount: tensor that the head reads
mount_name: what the mount is called for people
mounts: each tensor as a place for an exit
move_energy_pj: energy of what was moved for it between stores, pJ
moves: how many moves between stores
name: its name
nearest: design that breaks constraints least, where none keeps them
networks: files of the network -> SHA-256
never_taken: exits that no image can leave at by their threshold
new: number it was set to
nodes: nodes of the canonical network
nodes_after: nodes behind the pass
nodes_before: nodes before the pass
nodes_in_file: nodes of the network as loaded
nominal_coverage: share of cases the interval is made for, 0 to 1; null: none can be given
not_in_cache: trials whose answers are not in the cache
note: what else to know
notes: what was assumed or decided on the way
objective: what is minimised: edp, latency or energy
objectives: what is sought
of: target the search was for
offchip_pj: energy of memories off chip, pJ
offload: cycles of the last write-backs
ok: whether an exit can read it
old: number it had
on_front: it is on the front of the other hardware, too
on_test: shares and costs of test images
onchip_pj: energy of memories on chip, pJ
one_threshold: all exits have one threshold
onload: cycles of the first loads
only: noise with only this layer quantized
only_a: figures of the first run alone
only_b: figures of the second run alone
op_type: ONNX operator, by its float name
operand: I, W or O: inputs, weights, outputs
operating_point: operating point its figures are for
operating_points: costs at every operating point, or their names
operations_pj: energy of operations, pJ
operators: operators the core runs
optimistic: the plain estimate of the drop was held to the limit, not its upper bound
options: options by name
order: order of the channels of colour
origin: nodes of the user's file it came from; empty for what was added
out: where files were written; null: none
out_cycles: cycles to move what is on chip to the outer store, one after another
out_pj: energy of moving it out, pJ
outer: whether inputs and weights lie in it at the start
output: bits of outputs, or the tensor of logits
output_shapes: shapes of outputs
outputs: outputs, by name
overhead: share of the time that is not training, 0 to 1
overlapped_cycles: cycles that go on beside other layers
p_value: probability of such images if the promise did not hold
padding_bytes: bytes moved for padding
paired: on the same test images, image by image
parameters: parameters of the rule
params: gene -> choice
partial_sum: bits of partial sums
pass_name: pass that left it alone
passed: whether nothing failed that was held against something
passes: passes, in order
path: where in the description, or of the network
paths: cost of each exit path
pays: whether speculation pays there
peak_bits: most that lies in it, bits
peaks: core -> peak figures of described in-memory cores
peaks_bits: most that lies in it, per exit path, bits
placement: what runs in analog arrays; null: as usual
planned: points of the front solved anew, or exits before and after
point: operating point of all figures, or number of the point; null without a clock
points: points of the front, or accuracy lost in points
predicted: key -> what was predicted before it was trained
predicted_cost: cost that was predicted from single layers
predicted_loss: loss that was predicted from single layers, nats
predictor: how well predictions ranked designs
preprocess: how images become the input: (x - mean) / std
preprocess_asked: rule as it was asked for
preprocess_tried: rules that were tried, and the accuracy with each
proven: nothing better exists
proxies: what had been chosen by MACs, and what that saves
proxy: what was minimised instead
pruned: the static network after pruning; null where nothing was pruned
pruning: how it was pruned; null where it was not
qat_epochs: how often images were seen in training for integers; null: as usual
quant_ci95: 95 % Wilson interval in integers, 0 to 1
quantization: what quantization does to each exit; null where there is none
quantize: how integers were found: none, ptq, qat, …
quantized: networks were searched for in integers
question: what was asked
rank: place among the mounts, 1 is the best; null: none
rank_correlation: figure -> Spearman's correlation of prediction and outcome
ratio: share of inputs that leave there, 0 to 1
ratios: share of inputs that leave at each exit, 0 to 1
reached: what it reaches
reads: earlier exit whose logits or features its head reads; empty for none
reason: why
reasons: why not
recycled: weight with which each exit takes over the logits before it; null: none
reference: key -> worst figure, up to which a front has a volume
refusal: why the target cannot run it; empty if it can
refusals: layers that no core takes
relative: change over the first, 0.1 is 10 % more; null where the first is 0
removed: how many entries went
removed_exits: exits that were tried and are not in the files, and why
report: where the page was written
requantize: a quantized network was quantized anew
residence: what the network leaves in the memories between inferences and stages; null: not counted then
resident: weights that stay on chip between inferences
resource: core, link or port
results: id of a node -> what is shown there
reverse_channels: channels are read last to first
rounding: how numbers were rounded
rule: rule, by name or as a sentence
rules: how latency counts what unrollings leave over, or rules of a pass or target
run: letter of the run
run_a: first run
run_b: second run
rung: how far it was trained: 0 is the first rung
runs: whether it can be run, or how many tiles are
saving: shares of static that are saved, 0 to 1
saving_causes: what is saved by models of the chip that differ, by why
saving_edp_test: share of static's energy-delay product saved on test
saving_edp_val: share of static's energy-delay product saved on val
saving_interval: least and most saved over all allowed models; null where there is one
schedule: the schedule, or its mode
schedules: mode -> what it is
schema_version: version of this form: keys are only added within it
scheme: integers of a layer, by name
schemes: integers, by name
searched: what was asked, and by what it was judged
seconds: wall time, s
seed: seed of all that is drawn
seeds: seeds by what they are for
sensitivity: noise of each layer that is quantized
sensitivity_images: how many training images that is from
shape: shape of the input without batch; null: as the images are
share: share of all, 0 to 1
share_of_noise: their share of the noise of all layers, 0 to 1
shared: designs share the weights of one network
size: how large the space is, in words
source: where it is from
spatial: how loops are unrolled over the array
speculation: the next stage starts while a head decides
speculative: the same with speculation; null or absent without
split: val or test
sqnr_db: signal over noise, dB; null: no noise
stages: files of the network after each pass
stages_exit: test images that leave the stage files where they should
stages_prediction: test images that the stage files answer as they should
stall: cycles in which it waits for data
stall_cycles: cycles in which it waits for data
stalling_port: memory port it waits for most; null: none
start: design whose weights it began with; empty: none
start_cycle: when its first tile starts, cycles
state: feasible, infeasible or failed
static: the network without early exits
static_accuracy_val: accuracy of static on val, 0 to 1
static_at: operating point -> costs of the network without early exits
static_cycles_by_cost_model: cost model -> cycles of static; null: it cannot cost it
static_latency_cycles: latency of static, cycles
static_residence: the same of the network without early exits
static_trained: static as trained with its exits; null where that is the same
status: ok, warning or failed
std: divided by per channel
stop: from 0, the least figure, to 1, the highest
store_cycles: cycles of the last write-backs
stores: where they lie
study: point of a search whose network this is, or name of a search; null: none
subject: node or tensor
suggested: layers to keep in float first
summary: one sentence
summed: costs as sums of parts, as the search had them
supernet: hash of the network that was trained
support: which operators each core runs, and by which rules
taken: whether it was chosen, or share of cycles in which it is in use, per exit path, 0 to 1
target: accelerator
target_description: SHA-256 of what the file of an accelerator says; null: no file
target_file: description of the accelerator, in the same folder
target_sha256: SHA-256 of the file of an accelerator; null: no file
targets: accelerators
temperature_val: temperature that fits best on val; null: none
tensor: name in the graph
test: of test images
test_cost: expected cost on test, as a share of static
test_drop: drop on test, points
test_ratios: share that leaves at each exit on test, 0 to 1
text: text form of the pass
threshold: an input leaves where confidence is at least this; null: the final exit
thresholds: threshold per early exit; null: the final exit
tiles: into how many parts it is cut
times: seconds by part
title: what a person is told it is
to: after
told: what was told: options by name, or figures of the search
total: cost of the deepest path
train: of training images
trainer: how it was trained; null: it was not
training: how it was trained
trial: number of the design
trials: designs that were tried
trials_done: how many designs were worked on
tried: what was tried, in order
type: type of the option
unit: pJ, s, cycles, J·s, share, points, …; empty: a number of its own
used: when it was last read or written, seconds since 1970
utilization: share of the core that works, 0 to 1, or how busy resources are
val: of validation images
val_cost: expected cost on val, as a share of static
val_drop: drop on val, points
val_images: how many validation images
val_ratios: share that leaves at each exit on val, 0 to 1
validation: measured, spread, both, or none: what stands behind absolute figures
value: figure, or words
values: of each run; null: it has none
verdict: equal, close, quantized, differs, not comparable or not run
verdicts: of each other run: better, worse, same or nothing
version: version of eecompile
versions: package -> version; null: not installed
violated: whether it holds
violation: by how much constraints are broken, summed
voltage_v: supply, V; null: not known
warnings: what to know before figures are used
was: figures on the hardware of the search
wasted_pj: energy of work for nothing, pJ
weight: bits of weights; null without
weight_bits: bits of weights; null without
weights: keep: weights that fit stay on chip; fetch: none do. Or whether they are in the file
what: what went wrong, else empty
white: largest value of an image as stored; null: as given
why: constraints it breaks, or why it cannot run
with_exits: change of accuracy with exits; null: cannot be paired
within_intervals: whether the intervals of both overlap; null: they have none
without: noise with all layers but this quantized
without_exits: change of accuracy of static; null: cannot be paired
words: how many words of the memory
workers: how many processes worked
working: share of cycles in which it works, per exit path, 0 to 1
worst_latency_cycles: latency of the deepest path, cycles
worst_latency_s: latency of the deepest path, s
"""

WORDS: dict[str, str] = dict(line.split(": ", 1) for line in TEXT.strip().splitlines())
