#include "graph/twins.h"

#include <algorithm>
#include <cstring>

#include "base/crc32c.h"
#include "threads/step_sort.h"
#include "threads/steps.h"

namespace elanus {
namespace {

struct HashedRow {
  uint32_t hash;
  uint32_t row;
};

// Vectors of one hash that are split off by comparing all with one; any more of them are sorted.
constexpr int kSplitsMax = 8;
constexpr size_t kBytesPerNs = 8;

class Finder {
 public:
  Finder(const RowView& rows, const CancelToken* cancel, TwinLists* twins)
      : rows_(rows),
        row_bytes_(rows.row_bytes()),
        cancel_(cancel),
        steps_(cancel),
        twins_(twins) {}

  bool find(std::vector<uint32_t>* candidates) {
    std::vector<HashedRow> hashed;
    hashed.reserve(candidates->size());
    for (const uint32_t row : *candidates) {
      if (!step()) return false;
      hashed.push_back({crc32c(vector(row), row_bytes_, 0), row});
    }
    const auto is_before = [](const HashedRow& a, const HashedRow& b) {
      return a.hash != b.hash ? a.hash < b.hash : a.row < b.row;
    };
    if (!sort_in_steps(&hashed, is_before, cancel_)) return false;
    for (size_t begin = 0; begin < hashed.size();) {
      size_t end = begin + 1;
      while (end < hashed.size() && hashed[end].hash == hashed[begin].hash) ++end;
      same_hash_.clear();
      for (size_t i = begin; end - begin > 1 && i < end; ++i) same_hash_.push_back(hashed[i].row);
      if (!split()) return false;
      begin = end;
    }
    put_lists(candidates);
    return true;
  }

 private:
  const uint8_t* vector(uint32_t row) const { return rows_.row(row); }
  int compare(uint32_t a, uint32_t b) const {
    return std::memcmp(vector(a), vector(b), row_bytes_);
  }
  bool step() { return steps_.take(20 + row_bytes_ / kBytesPerNs); }

  // Makes groups of the rows of one hash, which ascend.
  bool split() {
    for (int i = 0; i < kSplitsMax && same_hash_.size() > 1; ++i) {
      const uint32_t head = same_hash_[0];
      group_.clear();
      size_t kept = 0;
      for (const uint32_t row : same_hash_) {
        if (!step()) return false;
        if (compare(head, row) == 0) {
          group_.push_back(row);
        } else {
          same_hash_[kept++] = row;
        }
      }
      same_hash_.resize(kept);
      end_group();
    }
    const auto is_before = [this](uint32_t a, uint32_t b) {
      const int order = compare(a, b);
      return order != 0 ? order < 0 : a < b;
    };
    if (!sort_in_steps(&same_hash_, is_before, cancel_)) return false;
    group_.clear();
    for (const uint32_t row : same_hash_) {
      if (!step()) return false;
      if (!group_.empty() && compare(group_[0], row) != 0) end_group();
      group_.push_back(row);
    }
    end_group();
    return true;
  }

  void end_group() {
    if (group_.size() > 1) {
      groups_.push_back({group_[0], static_cast<uint32_t>(members_.size()),
                         static_cast<uint32_t>(group_.size() - 1)});
      members_.insert(members_.end(), group_.begin() + 1, group_.end());
    }
    group_.clear();
  }

  // In the order of the heads, and the candidates without the twins.
  void put_lists(std::vector<uint32_t>* candidates) {
    if (groups_.empty()) return;
    std::sort(groups_.begin(), groups_.end(),
              [](const Group& a, const Group& b) { return a.head < b.head; });
    twins_->rows.reserve(members_.size());
    for (const Group& group : groups_) {
      twins_->heads.push_back(group.head);
      twins_->begins.push_back(static_cast<uint32_t>(twins_->rows.size()));
      const auto first = members_.begin() + group.begin;
      twins_->rows.insert(twins_->rows.end(), first, first + group.count);
    }
    twins_->begins.push_back(static_cast<uint32_t>(twins_->rows.size()));
    std::sort(members_.begin(), members_.end());
    const auto end = std::set_difference(candidates->begin(), candidates->end(), members_.begin(),
                                         members_.end(), candidates->begin());
    candidates->erase(end, candidates->end());
  }

  struct Group {
    uint32_t head;
    uint32_t begin;  // of its twins in members_
    uint32_t count;
  };
  const RowView& rows_;
  const size_t row_bytes_;
  const CancelToken* cancel_;
  Steps steps_;
  TwinLists* twins_;
  std::vector<uint32_t> same_hash_;
  std::vector<uint32_t> group_;
  std::vector<Group> groups_;
  std::vector<uint32_t> members_;
};

}  // namespace

bool find_twins(const RowView& rows, const CancelToken* cancel,
                std::vector<uint32_t>* candidates, TwinLists* twins) {
  return Finder(rows, cancel, twins).find(candidates);
}

std::span<const uint32_t> Twins::of(uint32_t node) const {
  const auto head = std::lower_bound(heads_.begin(), heads_.end(), node);
  if (head == heads_.end() || *head != node) return {};
  const uint32_t* const begin = begins_ + (head - heads_.begin());
  if (begin[0] > begin[1] || begin[1] > rows_.size()) return {};
  return rows_.subspan(begin[0], begin[1] - begin[0]);
}

}  // namespace elanus
