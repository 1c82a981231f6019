// Merges what several participants have answered: lists of hits, or rows by primary key, each in
// the order of read/reduce.h and with its rows in a row batch. The same order, distinctness and
// limit as inside one participant, so an answer does not tell how many there were.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/cancel.h"
#include "base/status.h"

namespace elanus {

// One participant's answer. Numbers may lie at any address.
struct AnswerList {
  std::span<const uint8_t> rows;    // a row batch with the primary key and the timestamp
  std::span<const uint8_t> counts;  // int32: rows of each query, those of query 0 first
  std::span<const uint8_t> scores;  // float or double a row; empty: rows come by primary key
};

struct Reduction {
  int64_t key_field = 0;
  uint64_t nq = 1;
  uint64_t offset = 0;  // rows of each query that are left out, best first
  uint64_t limit = 0;   // rows of each query besides; 0: all
  bool smaller_first = false;  // the smallest score is the best
  // A key's scores in all lists are added up and it stands with that, by the row of the first list
  // that has it. Else its first row in the order stays.
  bool adds_up = false;
};

struct ReducedRows {
  std::vector<int32_t> counts;  // of each query
  std::vector<float> scores;    // of each row, empty where the lists have none
  // Numbered through all lists: the first row of one comes after the last of the one before.
  std::vector<uint32_t> rows;
};

// About 100 ns a row. Errors: kDataIntegrity (a batch), kInvalidParameter (lists that are not as
// above), kCanceled.
Status reduce_lists(std::span<const AnswerList> lists, const Reduction& what,
                    const CancelToken* cancel, ReducedRows* out);

}  // namespace elanus
