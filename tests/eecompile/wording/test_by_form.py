from __future__ import annotations

from eecompile.run_files.summary import ExitInForm, QuantizationInfo
from eecompile.wording import by_form
from eecompile.wording.quantities import ABSENT


def row(split: str, name: str, form: str, accuracy: float) -> ExitInForm:
    early = name != "final"
    return ExitInForm(
        split=split,
        exit=name,
        form=form,
        accuracy=accuracy,
        confidence=0.5 if early else None,
        confidence_shift=0.25 if early else None,
        answers_changed=0.125,
        ratio=0.75,
    )


FOUND = QuantizationInfo(
    method="qat",
    schemes=("int4-channel", "int8-channel"),
    calibration_images=1512,
    epochs=2,
    exits=tuple(
        row(split, name, form, 0.9 if split == "val" else 0.8)
        for split in ("val", "test")
        for name in ("exit_0", "final")
        for form in ("float", "ptq", "qat")
    ),
)


def test_how_it_was_quantized_is_one_phrase() -> None:
    told = "int4-channel, int8-channel, calibrated on 1,512 training images"
    assert by_form.quantized(FOUND) == f"qat over 2 epochs, {told}"
    plain = FOUND.model_copy(update={"method": "ptq", "epochs": None})
    assert by_form.quantized(plain) == f"ptq, {told}"


def test_a_row_per_exit_and_form_of_the_split_asked_for() -> None:
    rows = by_form.cells(FOUND, "test")
    assert len(rows) == 6 and all(len(cells) == len(by_form.HEADINGS) for cells in rows)
    assert rows[0] == ("exit_0", "float", "80.0 %", "75.0 %", "0.500", "0.250", "12.5 %")
    assert [cells[0] for cells in rows] == ["exit_0", "", "", "final", "", ""]
    assert rows[5][4:6] == (ABSENT, ABSENT)
