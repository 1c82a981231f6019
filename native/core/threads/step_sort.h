// A sort that others may interrupt: short pieces sorted one by one, then merged in short steps. For
// sorted input it is one pass. Besides the items it takes memory for the left one of two halves.
#pragma once

#include <algorithm>
#include <cstddef>
#include <type_traits>
#include <vector>

#include "threads/steps.h"

namespace elanus {

namespace step_sort {

constexpr size_t kPieceItems = 4096;   // sorted in some 0.3 ms
constexpr size_t kMergeNs = 20;        // an item, with misses
constexpr size_t kCompareNs = 5;

// Merges [begin, middle) and [middle, end), each sorted.
template <typename T, typename Less>
bool merge(T* begin, T* middle, T* end, std::vector<T>* left, const Less& less, Steps* steps) {
  if (!less(*middle, middle[-1])) return steps->take(kCompareNs);
  left->clear();
  left->reserve(static_cast<size_t>(middle - begin));
  for (T* from = begin; from < middle; from += kPieceItems) {
    left->insert(left->end(), from, std::min(middle, from + kPieceItems));
    if (!steps->take(kPieceItems * kCompareNs)) return false;
  }
  const T* next = left->data();
  const T* const last = next + left->size();
  // Of equal items those of the left half come first.
  while (next < last && middle < end) {
    if (less(*middle, *next)) {
      *begin++ = *middle++;
    } else {
      *begin++ = *next++;
    }
    if (!steps->take(kMergeNs)) return false;
  }
  std::copy(next, last, begin);
  return true;
}

}  // namespace step_sort

// Sorts, stable only between equal items of different pieces. False when canceled: then the items'
// order and number of copies mean nothing.
template <typename T, typename Less>
bool sort_in_steps(std::vector<T>* items, const Less& less, const CancelToken* cancel) {
  static_assert(std::is_nothrow_copy_assignable_v<T>);
  constexpr size_t kPiece = step_sort::kPieceItems;
  Steps steps(cancel);
  T* const data = items->data();
  const size_t count = items->size();
  for (size_t begin = 0; begin < count; begin += kPiece) {
    T* const piece = data + begin;
    T* const end = data + std::min(count, begin + kPiece);
    const bool is_sorted = std::is_sorted(piece, end, less);
    if (!is_sorted) std::sort(piece, end, less);
    if (!steps.take(kPiece * step_sort::kCompareNs * (is_sorted ? 1 : 14))) return false;
  }
  std::vector<T> left;
  for (size_t width = kPiece; width < count; width *= 2) {
    for (size_t begin = 0; begin + width < count; begin += 2 * width) {
      T* const end = data + std::min(count, begin + 2 * width);
      if (!step_sort::merge(data + begin, data + begin + width, end, &left, less, &steps))
        return false;
    }
  }
  return true;
}

}  // namespace elanus
