// How large the rows of one read may get, in bytes of its row batch, and the refusals of one that
// gets larger, in Milvus' words.
#pragma once

#include <cstdint>

#include "base/status.h"

namespace elanus {

struct ReadBounds {
  static constexpr uint64_t kNone = ~uint64_t{0};
  // Of what the client gets. Counted by the fixed width of the rows while they are being found, so
  // that an answer that is too large is not searched to its end.
  uint64_t reply_bytes_max = kNone;
  // Rows (of each query vector) that are found and do not go into the reply: of the pages before
  // it, or for lists that are merged.
  uint64_t spare_rows = 0;
  // Of all rows that are found, with their values of any width: the memory that was taken for them.
  // Counted before they are copied.
  uint64_t gather_bytes_max = kNone;
};

// `what`: "search" or "query". The first of one whose reply is too large (kTooLarge), the second of
// one that finds more than there is memory for (kMemoryLimit).
Status output_too_large(const char* what, uint64_t got, uint64_t limit);
Status gather_too_large(const char* what, uint64_t need, uint64_t have);

}  // namespace elanus
