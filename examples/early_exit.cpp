// Runs a compiled network from C++: answers every image of a file, each as far into the network as it needs.
//
//   c++ -std=c++17 -I ORT/include early_exit.cpp ORT/lib/libonnxruntime.so -Wl,-rpath,ORT/lib -o early_exit
//   ./early_exit RUN/model.dynamic.onnx images.f32
//
// ORT is a release of onnxruntime. images.f32 holds float32 images one after the other, in the shape and the
// axis order of the model's input, after the preprocessing that run.json records under "preprocess":
// (x - mean) / std. One line per image: label, exit (index into `exits` of summary.json), confidence.
// An image whose logits hold NaN gets the label -1, as in eecompile.runtime.
#include <onnxruntime_cxx_api.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <fstream>
#include <vector>

int main(int argc, char **argv) try {
  if (argc != 3) return std::fprintf(stderr, "usage: early_exit model.dynamic.onnx images.f32\n"), 2;
  Ort::Env env(ORT_LOGGING_LEVEL_ERROR, "early_exit");
  Ort::SessionOptions options;
  options.SetIntraOpNumThreads(1);
  Ort::Session session(env, argv[1], options);  // one session may serve many threads
  Ort::AllocatorWithDefaultOptions allocator;
  const auto name = session.GetInputNameAllocated(0, allocator);
  const char *inputs[] = {name.get()}, *outputs[] = {"logits", "exit", "confidence"};
  const auto shape = session.GetInputTypeInfo(0).GetTensorTypeAndShapeInfo().GetShape();  // [1, ...]
  std::size_t size = 1;
  for (const auto length : shape) size *= static_cast<std::size_t>(length);
  const auto memory = Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault);
  std::ifstream file(argv[2], std::ios::binary);
  if (!file) return std::fprintf(stderr, "cannot read %s\n", argv[2]), 2;
  std::vector<float> image(size);
  const auto bytes = static_cast<std::streamsize>(size * sizeof(float));
  while (file.read(reinterpret_cast<char *>(image.data()), bytes)) {
    auto input = Ort::Value::CreateTensor<float>(memory, image.data(), size, shape.data(), shape.size());
    auto found = session.Run(Ort::RunOptions{nullptr}, inputs, &input, 1, outputs, 3);
    const float *logits = found[0].GetTensorData<float>();
    const float *end = logits + found[0].GetTensorTypeAndShapeInfo().GetElementCount();
    const bool known = std::none_of(logits, end, [](float value) { return std::isnan(value); });
    const auto label = known ? std::max_element(logits, end) - logits : -1;
    const auto left_at = static_cast<long long>(*found[1].GetTensorData<std::int64_t>());
    std::printf("%td %lld %.9g\n", label, left_at, *found[2].GetTensorData<float>());
  }
  if (file.gcount() != 0) return std::fprintf(stderr, "%s ends within an image\n", argv[2]), 2;
  return 0;
} catch (const std::exception &error) {
  return std::fprintf(stderr, "%s\n", error.what()), 1;
}
