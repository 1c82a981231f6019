// The index over a JSON path: a scalar index built over a column that is made for the purpose, and
// a head that says what path it is.
#include "scalar/json_path_index.h"

#include <cstring>
#include <limits>
#include <span>
#include <string>
#include <utility>

#include "filter/json_path.h"
#include "scalar/scalar_index_format.h"
#include "threads/steps.h"

namespace elanus {
namespace {

Status damaged(const std::string& what) {
  return {StatusCode::kDataIntegrity, "JSON path index: " + what};
}

bool is_exact_double(int64_t x) {
  const double real = static_cast<double>(x);
  return real < 0x1p63 && static_cast<int64_t>(real) == x;
}

constexpr size_t kWayNs = 100;  // to a value in a document

// The values at the path as a column, a null row where the value has another type.
class PathColumn final : public RowSource {
 public:
  PathColumn(const RowSource& source, DataType cast_type) : source_(source), type_(cast_type) {}

  Status read(int64_t field_id, const std::vector<PathStep>& path, const CancelToken* cancel) {
    Steps steps(cancel);
    chunks_.resize(source_.chunk_count());
    for (size_t c = 0; c < chunks_.size(); ++c) {
      const ColumnView json = source_.column(c, field_id);
      if (json.all_null) continue;
      if (json.type != DataType::kJson || json.json_variant == nullptr) {
        return {StatusCode::kInvalidParameter,
                "JSON path index: field " + std::to_string(field_id) + " is not JSON"};
      }
      chunks_[c].resize(source_.chunk_rows(c), type_);
      for (size_t row = 0; row < source_.chunk_rows(c); ++row) {
        if (!steps.take(kWayNs)) return {StatusCode::kCanceled, "the index build was canceled"};
        if (json.is_valid(row)) put(value_at(json.json_variant->string_at(row), path), row, c);
      }
    }
    return Status::ok();
  }
  // Whether every number is the document's own and not a rounded one.
  bool is_exact() const { return is_exact_; }

  size_t row_count() const override { return source_.row_count(); }
  size_t chunk_count() const override { return source_.chunk_count(); }
  size_t chunk_begin(size_t chunk) const override { return source_.chunk_begin(chunk); }
  size_t chunk_rows(size_t chunk) const override { return source_.chunk_rows(chunk); }
  const ScalarIndex* scalar_index(int64_t) const override { return nullptr; }

  ColumnView column(size_t chunk, int64_t) const override {
    const Chunk& from = chunks_[chunk];
    ColumnView view;
    view.type = type_;
    view.rows = source_.chunk_rows(chunk);
    view.all_null = from.valid.empty();
    view.valid_bytes = from.valid.data();
    view.refs = type_ == DataType::kVarChar ? from.texts.data() : nullptr;
    view.data = type_ == DataType::kBool ? static_cast<const void*>(from.bools.data())
                                         : static_cast<const void*>(from.reals.data());
    return view;
  }

 private:
  struct Chunk {
    std::vector<uint8_t> valid;  // empty: no row has a value
    std::vector<uint8_t> bools;
    std::vector<double> reals;
    std::vector<VarRef> texts;  // point into the documents

    void resize(size_t rows, DataType type) {
      valid.resize(rows);
      if (type == DataType::kBool) bools.resize(rows);
      if (type == DataType::kDouble) reals.resize(rows);
      if (type == DataType::kVarChar) texts.resize(rows);
    }
  };

  void put(const VariantValue& value, size_t row, size_t c) {
    Chunk& chunk = chunks_[c];
    switch (value.type()) {
      case VariantType::kBool:
        if (type_ != DataType::kBool) return;
        chunk.bools[row] = value.as_bool() ? 1 : 0;
        break;
      case VariantType::kInt64:
        if (type_ != DataType::kDouble) return;
        is_exact_ = is_exact_ && is_exact_double(value.as_int64());
        chunk.reals[row] = value.as_double();
        break;
      case VariantType::kDouble:
        if (type_ != DataType::kDouble) return;
        chunk.reals[row] = value.as_double();
        break;
      case VariantType::kString: {
        if (type_ != DataType::kVarChar) return;
        const std::string_view text = value.string();
        chunk.texts[row] = {text.data(), static_cast<uint32_t>(text.size())};
        break;
      }
      default:
        return;
    }
    chunk.valid[row] = 1;
  }

  const RowSource& source_;
  const DataType type_;
  bool is_exact_ = true;
  std::vector<Chunk> chunks_;
};

void put(const void* data, size_t count, std::vector<uint8_t>* out) {
  const auto* first = static_cast<const uint8_t*>(data);
  if (count != 0) out->insert(out->end(), first, first + count);
}

void put_integer(auto value, std::vector<uint8_t>* out) { put(&value, sizeof(value), out); }

std::vector<uint8_t> encode_path(const std::vector<PathStep>& path) {
  std::vector<uint8_t> bytes;
  put_integer(static_cast<uint16_t>(path.size()), &bytes);
  for (const PathStep& step : path) {
    put_integer(static_cast<uint8_t>(step.is_key ? 0 : 1), &bytes);
    put_integer(step.is_key ? static_cast<uint32_t>(step.key.size()) : step.index, &bytes);
    if (step.is_key) put(step.key.data(), step.key.size(), &bytes);
  }
  return bytes;
}

// False when the bytes are not exactly one path.
bool decode_path(std::span<const uint8_t> bytes, std::vector<PathStep>* path) {
  const auto take = [&bytes](auto* value) {
    if (bytes.size() < sizeof(*value)) return false;
    std::memcpy(value, bytes.data(), sizeof(*value));
    bytes = bytes.subspan(sizeof(*value));
    return true;
  };
  uint16_t steps = 0;
  if (!take(&steps)) return false;
  for (; steps > 0; --steps) {
    uint8_t kind = 0;
    PathStep step;
    if (!take(&kind) || !take(&step.index) || kind > 1) return false;
    step.is_key = kind == 0;
    if (step.is_key) {
      const uint32_t length = std::exchange(step.index, 0);
      if (bytes.size() < length) return false;
      step.key = {reinterpret_cast<const char*>(bytes.data()), length};
      bytes = bytes.subspan(length);
    }
    path->push_back(step);
  }
  return bytes.empty();
}

}  // namespace

bool JsonPathIndex::is_cast_type(DataType type) {
  return type == DataType::kBool || type == DataType::kDouble || type == DataType::kVarChar;
}

bool JsonPathIndex::can_compare(const Literal& literal) const {
  if (literal.kind != LiteralKind::kInt64) return true;
  // A rounded integer lies at 2^53 or beyond, as the integer itself does: literals between order
  // both alike.
  constexpr int64_t kLimit = int64_t{1} << 53;
  if (!is_exact_) return -kLimit < literal.integer && literal.integer < kLimit;
  return is_exact_double(literal.integer);
}

Status JsonPathIndex::open(std::shared_ptr<const SectionFile> file,
                           std::unique_ptr<JsonPathIndex>* index) {
  if (file->container() != kJsonPathContainer) return damaged("another kind of index");
  std::unique_ptr<JsonPathIndex> made(new JsonPathIndex);
  // Sizes first: what follows reads the path's section.
  if (Status status = ScalarIndex::open(file, &made->values_); !status.is_ok()) return status;
  if (Status status = file->compare(ScalarTag::kPath); !status.is_ok()) return status;
  const auto scalar = get_parameters<ScalarParameters>(file->header());
  made->is_exact_ = scalar.is_exact == 1;
  const std::span<const uint8_t> path(file->section<uint8_t>(ScalarTag::kPath),
                                      scalar.path_bytes);
  if (!decode_path(path, &made->path_)) return damaged("bad path");
  if (!is_cast_type(made->values_->type())) return damaged("bad cast type");
  *index = std::move(made);
  return Status::ok();
}

Status build_json_path_index(const RowSource& source, int64_t field_id,
                             const std::vector<PathStep>& path, DataType cast_type,
                             SectionFileWriter* out, const CancelToken* cancel) {
  if (!JsonPathIndex::is_cast_type(cast_type) ||
      path.size() > std::numeric_limits<uint16_t>::max()) {
    return {StatusCode::kInvalidParameter, "JSON path index: a path of at most 65535 steps, read "
                                           "as Bool, Double or VarChar, can be indexed"};
  }
  PathColumn column(source, cast_type);
  if (Status s = column.read(field_id, path, cancel); !s.is_ok()) return s;
  const std::vector<uint8_t> steps = encode_path(path);
  const PathSection section{steps, column.is_exact()};
  return build_scalar_index_of_path(column, field_id, cast_type, section, out, cancel);
}

}  // namespace elanus
