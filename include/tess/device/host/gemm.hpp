// matmul: y[m, n] = sum over k of x[m, k] w[k, n] for packed weights, exact to f32 rounding on every instruction set.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <array>
#include <span>

#include "gemm_avx2.hpp"
#include "gemm_avx512.hpp"
#include "gemm_portable.hpp"
#include "thread_pool.hpp"

namespace tess::host {

/// One product of a batch. X and Y: f32 or bf16; W: PackedF32, PackedBf16 or PackedQ8.
template <class X, class W, class Y>
struct Problem {
  const X* x = nullptr;  // [rows, K], rows ldx elements apart
  index_t ldx = 0;
  const W* w = nullptr;  // [K, N]
  Y* y = nullptr;        // [rows, N], rows ldy elements apart; overwritten
  index_t ldy = 0;
  index_t rows = 0;  // M
};

namespace detail {

/// The kernels for one pair of types on one CPU.
template <class X>
struct Method {
  Form form = Form::f32_words;
  int terms = 1;
  PrepareRow<X> prepare = nullptr;
  BlockKernel block = nullptr;
};

template <class X, class E>
Method<X> choose_method([[maybe_unused]] const Cpu& cpu, [[maybe_unused]] Activations activations) {
#if TESS_X86
  if constexpr (std::is_same_v<E, std::int8_t>)
    if (cpu.isa == Isa::avx512 && cpu.vnni) {
      if (activations == Activations::one_term)
        return {Form::int8_words, 1, avx512::prepare_int8<X, 1>, avx512::block_int8<1>};
      return {Form::int8_words, 2, avx512::prepare_int8<X, 2>, avx512::block_int8<2>};
    }
  if constexpr (std::is_same_v<E, bf16>)
    if (cpu.isa == Isa::avx512 && cpu.bf16) {
      if constexpr (!std::is_same_v<X, bf16>)
        if (activations == Activations::two_terms)
          return {Form::bf16_words, 2, avx512::prepare_bf16_words<X, 2>, avx512::block_bf16<2>};
      return {Form::bf16_words, 1, avx512::prepare_bf16_words<X, 1>, avx512::block_bf16<1>};
    }
  if (cpu.isa == Isa::avx512) return {Form::f32_words, 1, avx512::prepare_f32_words<X>, avx512::block_f32<E>};
  if (cpu.isa == Isa::avx2) return {Form::f32_words, 1, avx2::prepare_f32_words<X>, avx2::block_f32<E>};
#endif
  return {Form::f32_words, 1, portable::prepare_f32_words<X>, portable::block_f32<E>};
}

/// What the tasks of one matmul share: prepared activations of all problems, one after another.
struct Prepared {
  std::uint32_t* words;
  RowScale* scales;
  index_t row_words;  // of one row in one block, all terms
};

template <class X, class W, class Y>
void check(const Problem<X, W, Y>& p, const W& first) {
  if (p.w == nullptr || (p.rows > 0 && (p.x == nullptr || p.y == nullptr)))
    fail("matmul: a problem without x, w or y.");
  if (p.rows < 0 || p.ldx < p.w->rows() || p.ldy < p.w->columns())
    fail("matmul: rows = ", p.rows, ", ldx = ", p.ldx, ", ldy = ", p.ldy, " do not fit a weight of ", p.w->rows(),
         " x ", p.w->columns(), ".");
  if (p.w->rows() != first.rows() || p.w->columns() != first.columns() || p.w->blocks().size() != first.blocks().size())
    fail("matmul: the weights of one call must be alike; found ", p.w->rows(), " x ", p.w->columns(), " beside ",
         first.rows(), " x ", first.columns(), ".");
}

template <class X, class W, class Y>
void prepare_rows(const Method<X>& method, const Problem<X, W, Y>& p, const Prepared& to, index_t begin, index_t end) {
  const auto& blocks = p.w->blocks();
  for (index_t r = begin; r < end; ++r) {
    const X* row = p.x + r * p.ldx;
    for (std::size_t b = 0; b < blocks.size(); ++b) {
      const index_t at = static_cast<index_t>(b) * p.rows + r;
      method.prepare(row + blocks[b].row, blocks[b].rows, to.words + at * to.row_words, to.scales + at);
    }
  }
}

template <class Y>
TESS_ALWAYS_INLINE void store_panel_row(const f32* from, Y* to, index_t columns) {
  if (columns == panel_columns)
    for (index_t c = 0; c < panel_columns; ++c) to[c] = static_cast<Y>(from[c]);
  else
    for (index_t c = 0; c < columns; ++c) to[c] = static_cast<Y>(from[c]);
}

/// Panels [begin, end) of one problem: row parts of at most 256 rows, so that a block's activations stay in L2.
template <class X, class W, class Y>
void multiply_panels(const Method<X>& method, const Problem<X, W, Y>& p, const Prepared& from, index_t begin,
                     index_t end) {
  constexpr index_t rows_together = 252;  // a multiple of the kernels' 12, 6, 4
  struct Sums;
  const W& w = *p.w;
  for (index_t row = 0; row < p.rows; row += rows_together) {
    const index_t rows = std::min(rows_together, p.rows - row);
    const index_t sum_size = rows * panel_columns;
    f32* const sums =
        reinterpret_cast<f32*>(scratch<Sums>((end - begin) * sum_size * static_cast<index_t>(sizeof(f32))));
    std::fill_n(sums, (end - begin) * sum_size, 0.0f);
    for (std::size_t b = 0; b < w.blocks().size(); ++b) {
      const Block& block = w.blocks()[b];
      const index_t at = static_cast<index_t>(b) * p.rows + row;
      for (index_t panel = begin; panel < end; ++panel) {
        BlockArgs args{from.words + at * from.row_words,
                       from.scales + at,
                       rows,
                       w.panel(panel) + block.word * W::word_row_bytes,
                       block.words,
                       nullptr,
                       sums + (panel - begin) * sum_size};
        if constexpr (W::has_scales) args.w_scale = w.scales(panel, block.group);
        method.block(args);
      }
    }
    for (index_t panel = begin; panel < end; ++panel) {
      const index_t columns = std::min(panel_columns, w.columns() - panel * panel_columns);
      for (index_t r = 0; r < rows; ++r)
        store_panel_row(sums + (panel - begin) * sum_size + r * panel_columns,
                        p.y + (row + r) * p.ldy + panel * panel_columns, columns);
    }
  }
}

}  // namespace detail

/// All products of the span, whose weights must have one shape and one partition into scale groups; their work is
/// spread
/// over the threads together. y is overwritten and must not overlap x. Throws `Error` if sizes do not fit.
///
/// Every sum runs in one order that depends on K and the groups alone: in blocks of at most 256 rows, each from its own
/// zero, in f32 (int8 weights with int8 dot products: exactly, in int32). Hence a row of y does not depend on the other
/// rows, on their number or on the threads. A NaN or an infinity in a row of x gives NaN or infinities in that row of
/// y.
/// With bf16 dot products denormal products count as zero; with int8 ones, blocks of x that are all below 1e-35.
template <class X, class W, class Y>
void matmul(ThreadPool& pool, std::span<const Problem<X, W, Y>> problems,
            Activations activations = Activations::two_terms) {
  if (problems.empty()) return;
  index_t rows = 0, most_rows = 0;
  for (const auto& p : problems) {
    if (problems[0].w == nullptr) fail("matmul: a problem without x, w or y.");
    detail::check(p, *problems[0].w);
    rows += p.rows;
    most_rows = std::max(most_rows, p.rows);
  }
  const W& w = *problems[0].w;
  if (rows == 0 || w.columns() == 0) return;
  const auto blocks = static_cast<index_t>(w.blocks().size());
  const auto method = detail::choose_method<X, typename W::element>(cpu(), activations);

  const index_t row_words = method.terms * detail::words_in_block(method.form);
  const index_t word_bytes = rows * blocks * row_words * 4;
  const index_t scale_bytes = rows * blocks * static_cast<index_t>(sizeof(detail::RowScale));
  struct Words;
  std::byte* const memory = scratch<Words>(word_bytes + scale_bytes);
  const auto prepared = [&](index_t first_row) {
    return detail::Prepared{reinterpret_cast<std::uint32_t*>(memory) + first_row * blocks * row_words,
                            reinterpret_cast<detail::RowScale*>(memory + word_bytes) + first_row * blocks, row_words};
  };
  const index_t few = std::max<index_t>(1, 65536 / std::max<index_t>(1, w.rows()));  // rows not worth a thread
  index_t first_row = 0;
  for (const auto& p : problems) {
    const auto to = prepared(first_row);
    pool.for_range(p.rows, few, [&](index_t begin, index_t end) { detail::prepare_rows(method, p, to, begin, end); });
    first_row += p.rows;
  }

  // Few rows: memory-bound, panels one by one in chunks of 1 MiB. Many: four panels share a block's activations.
  const auto count = static_cast<index_t>(problems.size());
  const bool streaming = most_rows <= 32;
  const index_t panels_together = streaming || w.panels() * count < 16 * pool.size() ? 1 : 4;
  const index_t parts = (w.panels() + panels_together - 1) / panels_together;
  const index_t fair = std::max<index_t>(1, parts * count / (4 * pool.size()));
  const index_t grain =
      streaming ? std::clamp<index_t>((index_t{1} << 20) / std::max<index_t>(1, w.panel_bytes()), 1, fair) : 1;
  pool.for_range(parts * count, grain, [&](index_t begin, index_t end) {
    for (index_t task = begin; task < end; ++task) {
      index_t before = 0;
      for (index_t i = 0; i < task / parts; ++i) before += problems[static_cast<std::size_t>(i)].rows;
      const index_t panel = task % parts * panels_together;
      detail::multiply_panels(method, problems[static_cast<std::size_t>(task / parts)], prepared(before), panel,
                              std::min(w.panels(), panel + panels_together));
    }
  });
}

/// A single product.
template <class X, class W, class Y>
void matmul(ThreadPool& pool, const Problem<X, W, Y>& problem, Activations activations = Activations::two_terms) {
  matmul(pool, std::span<const Problem<X, W, Y>>(&problem, 1), activations);
}

}  // namespace tess::host
