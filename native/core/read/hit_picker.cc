#include "read/hit_picker.h"

#include "read/reduce.h"
#include "read/snapshot_rows.h"

namespace elanus {
namespace {

// Candidates of several segments, as reduce.h orders them.
class CandidateOrder {
 public:
  static constexpr bool kByKey = false;
  explicit CandidateOrder(std::span<const SegmentSearch> parts) : parts_(parts) {}

  float score(const PickedHit& hit) const { return hit.score; }
  int compare_keys(const PickedHit& a, const PickedHit& b) const {
    return elanus::compare_keys(rows(a), a.ref.row, rows(b), b.ref.row);
  }
  uint64_t timestamp(const PickedHit& hit) const { return rows(hit).timestamp_at(hit.ref.row); }
  RowRef ref(const PickedHit& hit) const { return hit.ref; }
  bool insert_key(KeySet* keys, const PickedHit& hit) const {
    return elanus::insert_key(rows(hit), hit.ref.row, keys);
  }

 private:
  const SegmentSnapshot& rows(const PickedHit& hit) const {
    return parts_[hit.ref.source].snapshot();
  }
  std::span<const SegmentSearch> parts_;
};

}  // namespace

void HitPicker::pick(const QuerySet& queries, size_t query, HitList* lists, size_t stride,
                     std::vector<PickedHit>* picked) const {
  std::vector<PickedHit> all;
  do {
    all.clear();
    for (size_t i = 0; i < parts_.size(); ++i) {
      for (const Hit& hit : lists[i * stride].hits) {
        all.push_back({hit.score, {static_cast<uint32_t>(i), static_cast<uint32_t>(hit.id)}});
      }
    }
    if (!reduce(CandidateOrder(parts_), k_, cancel_, &all)) return;
  } while (!is_canceled(cancel_) && (search_deeper(queries, query, lists, stride, all) ||
                                     find_ties(queries, query, lists, stride, all)));
  picked->assign(all.begin(), all.end());
}

// Whether a list has changed, as below.
bool HitPicker::search_deeper(const QuerySet& queries, size_t query, HitList* lists, size_t stride,
                              const std::vector<PickedHit>& picked) const {
  bool has_changed = false;
  for (size_t i = 0; i < parts_.size(); ++i) {
    HitList& list = lists[i * stride];
    if (!list.is_cut) continue;
    if (picked.size() == k_ && !(picked.back().score < list.hits.back().score)) continue;
    parts_[i].search_deeper(queries, query, params_, pool_, &list);
    has_changed = true;
  }
  return has_changed;
}

// A list is asked at most once for the score of the last row picked: further rows of that score do
// not change how many are better.
bool HitPicker::find_ties(const QuerySet& queries, size_t query, HitList* lists, size_t stride,
                          const std::vector<PickedHit>& picked) const {
  if (picked.size() < k_) return false;
  const PickedHit& last = picked.back();
  bool has_changed = false;
  for (size_t i = 0; i < parts_.size(); ++i) {
    HitList& list = lists[i * stride];
    if (!list.is_cut || list.has_ties || list.hits.back().score != last.score) continue;
    if (!parts_[i].may_hide_ties(list, parts_[last.ref.source].snapshot(), last.ref.row)) continue;
    parts_[i].find_ties(queries, query, k_, pool_, &list);
    has_changed = true;
  }
  return has_changed;
}

}  // namespace elanus
