// The hub's files of DeepSeek-V3: 8-bit weights with block scales, and layers that this model leaves unread.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <tess/io/fill.hpp>
#include <tess/io/safetensors_writer.hpp>

#include "tiny.hpp"

using namespace tess::test;
using namespace tess;
using io::DType;
using io::NamedArray;

namespace {

using Lone = HfModel<hf::DeepseekV3, TinyDeepseek, hf::MeshOf<1, 1, 1>>;
using Sharded = HfModel<hf::DeepseekV3, TinyDeepseek, hf::MeshOf<1, 1, 2>>;

/// The golden's folder: config.json, changed, and these tensors.
struct Folder : TemporaryFolder {
  Folder(const std::string& config, const std::vector<NamedArray>& tensors) {
    write_file(*this / "config.json", config);
    io::write_safetensors(*this / "model.safetensors", tensors);
  }
  template <class LM>
  Values logits(const HfGolden& golden) const {
    return LM(*this / "config.json", path()).all_logits(golden.tokens, golden.batch);
  }
};

std::vector<NamedArray> golden_tensors() {
  return io::SafetensorsFile(hf_folder("deepseek_v3") / "model.safetensors").arrays();
}
std::string golden_config() { return read_file(hf_folder("deepseek_v3") / "config.json"); }

/// The code of the e4m3 number nearest to x.
std::uint8_t e4m3_code(f32 x) {
  int best = 0;
  for (int code = 1; code < 256; ++code)
    if (code % 128 != 127 && std::abs(io::e4m3_value(static_cast<std::uint8_t>(code)) - x) <
                                 std::abs(io::e4m3_value(static_cast<std::uint8_t>(best)) - x))
      best = code;
  return static_cast<std::uint8_t>(best);
}

/// A weight in 8 bits with its scales f32 [1, 1] (it has at most 128 rows and columns), and what that is in f32.
struct Quantised {
  io::ArrayView codes, scales, values;
};
Quantised quantised(const io::ArrayView& w) {
  const auto values = io::values_as<f32>(w);
  f32 largest = 0;
  for (const f32 v : values) largest = std::max(largest, std::abs(v));
  const f32 scale = largest / 448;
  std::vector<std::uint8_t> codes;
  std::vector<f32> back;
  for (const f32 v : values) {
    codes.push_back(e4m3_code(v / scale));
    back.push_back(io::e4m3_value(codes.back()) * scale);
  }
  return {io::array_of(DType::f8_e4m3, w.shape, std::move(codes)), io::array_of(DType::f32, {1, 1}, std::vector{scale}),
          io::array_of(DType::f32, w.shape, std::move(back))};
}

/// DeepSeek leaves embeddings, head, norms and routers as they are.
bool in_eight_bits(const std::string& name) {
  return name.ends_with("_proj.weight") || contains(name, "_proj_with_mqa");
}

}  // namespace

TEST_CASE("8-bit weights with block scales are what they say, on one device and on two") {
  std::vector<NamedArray> in_f32, in_fp8;
  std::size_t count = 0;
  for (const NamedArray& t : golden_tensors()) {
    if (!in_eight_bits(t.name)) {
      in_f32.push_back(t), in_fp8.push_back(t);
      continue;
    }
    ++count;
    const Quantised q = quantised(t.array);
    in_f32.push_back({t.name, q.values});
    in_fp8.push_back({t.name, q.codes});
    in_fp8.push_back({t.name + "_scale_inv", q.scales});
  }
  CHECK(count == 3 * 5 + 3 + 2 * 3 * (16 + 1));  // attention; a dense layer; experts and the shared one of two
  const Folder plain(golden_config(), in_f32);
  const Folder packed(
      replaced(golden_config(), "\"vocab_size\"", R"("quantization_config": {"activation_scheme": "dynamic",
      "fmt": "e4m3", "quant_method": "fp8", "weight_block_size": [128, 128]}, "vocab_size")"),
      in_fp8);
  const HfGolden golden("deepseek_v3");
  const Values logits = packed.logits<Lone>(golden);
  CHECK(logits == plain.logits<Lone>(golden));  // bit for bit
  CHECK(packed.logits<Sharded>(golden) == plain.logits<Sharded>(golden));
  const f64 off = relative_error(logits, golden.logits);  // e4m3 has four significant bits
  CHECK(off > 0.001);
  CHECK(off < 0.5);
}

TEST_CASE("layers that guess further tokens are left unread, as many as config.json says, and no others") {
  auto tensors = golden_tensors();
  for (const char* name : {"embed_tokens", "enorm", "hnorm", "eh_proj", "shared_head.norm", "self_attn.o_proj",
                           "mlp.experts.0.up_proj", "mlp.experts.0.up_proj.weight_scale_inv"})
    tensors.push_back(
        {"model.layers.3." + std::string(name) + ".weight", io::array_of(DType::f32, {2}, std::vector<f32>{1, 2})});
  const std::string config = golden_config();
  const HfGolden golden("deepseek_v3");
  const Folder one(replaced(config, "\"num_nextn_predict_layers\": 0", "\"num_nextn_predict_layers\": 1"), tensors);
  CHECK(relative_error(one.logits<Lone>(golden), golden.logits) <= 1e-5);
  const Folder none(config, tensors);
  CHECK(
      contains(error_of([&] { (void)none.logits<Lone>(golden); }), "8 tensors are of no parameter: 'model.layers.3."));
}

namespace {
struct PlainQueries {
  static constexpr hf::DeepseekV3::Config value = [] {
    hf::DeepseekV3::Config c = TinyDeepseek::value;
    c.query_rank = 0;
    return c;
  }();
};
}  // namespace

TEST_CASE("queries of one plain projection: q_proj is read, and written again") {
  auto tensors = golden_tensors();
  std::erase_if(tensors, [](const NamedArray& t) { return contains(t.name, ".q_a_") || contains(t.name, ".q_b_"); });
  const io::ArrayView q = io::array_of(DType::f32, {96, 64}, std::vector<f32>(96 * 64, 0.125f));
  for (int l = 0; l < 3; ++l) tensors.push_back({"model.layers." + std::to_string(l) + ".self_attn.q_proj.weight", q});
  const Folder folder(replaced(golden_config(), "\"q_lora_rank\": 32", "\"q_lora_rank\": null"), tensors);
  const HfModel<hf::DeepseekV3, PlainQueries, hf::MeshOf<1, 1, 1>> lm(folder / "config.json", folder.path());
  io::save_model(lm.model, hf::DeepseekV3::names(lm.config), folder / "saved.safetensors");
  const io::SafetensorsFile read(folder / "model.safetensors"), saved(folder / "saved.safetensors");
  REQUIRE(saved.names() == read.names());
  for (const NamedArray& t : read.arrays()) CHECK(io::values_as<f32>(saved[t.name]) == io::values_as<f32>(t.array));
}

namespace {
/// Keys and values of heads as one tensor of the file holds them, over both devices of `model`.
struct UpProjections {
  using M = hf::MeshOf<1, 1, 2>;
  template <index_t H, index_t K, index_t N>
  using Heads = nn::tensor_parallel::EachHead<hf::Place<M, Host, f32>, H, K, N>;
  Heads<8, 20, 150> key_up{};
  Heads<8, 150, 14> value_up{};

  template <class F>
  void parameters(F&& f) {
    key_up.parameters(nn::Scope("key_up"), f);
    value_up.parameters(nn::Scope("value_up"), f);
  }
};
}  // namespace

TEST_CASE("heads that straddle blocks of scales") {
  constexpr index_t rows = 8 * (20 + 14), columns = 150;  // 3 x 2 blocks, none of which ends with a head
  std::vector<std::uint8_t> codes;
  for (index_t i = 0; i < rows * columns; ++i) codes.push_back(static_cast<std::uint8_t>(i * 37 % 127));
  const std::vector<f32> scales{0.5f, 3, 0.25f, 7, 11, 0.125f};
  const TemporaryFolder folder;
  io::write_safetensors(folder / "up.safetensors", {{"kv", io::array_of(DType::f8_e4m3, {rows, columns}, codes)},
                                                    {"kv_scale_inv", io::array_of(DType::f32, {3, 2}, scales)}});
  Host dev(1);
  UpProjections up;
  io::load_model(dev, up, io::SafetensorsCheckpoint(folder / "up.safetensors"),
                 {{"key_up/w", "kv", {rows, columns}, io::block_rows(8, 0, 20)},
                  {"value_up/w", "kv", {rows, columns}, io::transposed(io::block_rows(8, 20, 14))}});
  const auto keys = io::to_vector(up.key_up.weight), values = io::to_vector(up.value_up.weight);
  bool right = true;
  for (index_t r = 0; r < rows; ++r)
    for (index_t c = 0; c < columns; ++c) {
      const index_t head = r / 34, row = r % 34;
      const f32 truth = io::e4m3_value(codes[static_cast<std::size_t>(r * columns + c)]) *
                        scales[static_cast<std::size_t>(r / 128 * 2 + c / 128)];
      right = right && truth == (row < 20 ? keys[static_cast<std::size_t>((head * 20 + row) * columns + c)]
                                          : values[static_cast<std::size_t>((head * columns + c) * 14 + row - 20)]);
    }
  CHECK(right);
}
