// Reading checks what the first page says before anything else believes it; writing fills that page
// in last.
#include "io/section_file.h"

#include <algorithm>
#include <array>
#include <cassert>

#include "base/crc32c.h"

namespace elanus {
namespace {

// Read by the checksum and then by the kernel while they are in the second-level cache.
constexpr uint64_t kPieceBytes = 256 << 10;
constexpr std::array<uint8_t, kSectionAlignment> kZeros{};  // between sections

Status damaged(const std::string& what) {
  return {StatusCode::kDataIntegrity, "index file: " + what};
}

std::string name_of(uint32_t tag) {
  std::string name;
  for (int shift = 0; shift < 32; shift += 8) {
    const char letter = static_cast<char>(tag >> shift);
    name += letter >= ' ' && letter <= '~' ? letter : '?';
  }
  return name;
}

uint64_t aligned(uint64_t offset) {
  return (offset + kSectionAlignment - 1) / kSectionAlignment * kSectionAlignment;
}

uint32_t crc_of(const SectionFileHeader& header, std::span<const SectionEntry> sections) {
  const uint32_t crc = crc32c(&header, sizeof(header) - sizeof(header.crc));
  return crc32c(sections.data(), sections.size_bytes(), crc);
}

}  // namespace

Status read_section_table(std::span<const uint8_t> first, uint64_t file_bytes,
                          SectionFileHeader* header, std::vector<SectionEntry>* sections) {
  if (first.size() < sizeof(*header)) return damaged("too short");
  std::memcpy(header, first.data(), sizeof(*header));
  if (header->magic != kSectionFileMagic) return damaged("not an index file of this form");
  if (header->version != kSectionFileVersion)
    return damaged("unknown version " + std::to_string(header->version));
  if (header->sections > kSectionsMax || first.size() < kSectionAlignment)
    return damaged("the header is damaged");
  sections->resize(header->sections);
  const std::span<const uint8_t> table =
      first.subspan(sizeof(*header), sections->size() * sizeof(SectionEntry));
  std::ranges::copy(table, reinterpret_cast<uint8_t*>(sections->data()));
  if (crc_of(*header, *sections) != header->crc) return damaged("the header's checksum is wrong");
  if (header->file_bytes != file_bytes) return damaged("the length is not the header's");
  uint64_t end = kSectionAlignment;
  for (const SectionEntry& section : *sections) {
    if (section.offset != aligned(end) || section.offset > file_bytes ||
        section.bytes > file_bytes - section.offset) {
      return damaged("section " + name_of(section.tag) + " lies outside");
    }
    end = section.offset + section.bytes;
  }
  if (end != file_bytes) return damaged("the sections do not fill the file");
  return Status::ok();
}

Status SectionFile::open(const std::string& path, std::shared_ptr<const SectionFile>* out) {
  std::unique_ptr<MappedFile> file;
  if (Status status = MappedFile::open(path, &file); !status.is_ok()) return status;
  const std::span<const uint8_t> bytes(file->data(), file->size());
  std::shared_ptr<SectionFile> made(new SectionFile(std::move(file), bytes));
  if (Status status = made->read_table(); !status.is_ok())
    return {status.code(), status.message() + " (" + path + ")"};
  *out = std::move(made);
  return Status::ok();
}

Status SectionFile::of_bytes(std::span<const uint8_t> bytes,
                             std::shared_ptr<const SectionFile>* out) {
  std::shared_ptr<SectionFile> made(new SectionFile(nullptr, bytes));
  if (Status status = made->read_table(); !status.is_ok()) return status;
  *out = std::move(made);
  return Status::ok();
}

Status SectionFile::read_table() {
  const auto first = bytes_.first(std::min<size_t>(bytes_.size(), kSectionAlignment));
  return read_section_table(first, bytes_.size(), &header_, &sections_);
}

const SectionEntry* SectionFile::find_entry(SectionTag tag) const {
  const auto found = std::find_if(
      sections_.begin(), sections_.end(),
      [tag](const SectionEntry& entry) { return entry.tag == static_cast<uint32_t>(tag); });
  return found == sections_.end() ? nullptr : &*found;
}

const uint8_t* SectionFile::find(SectionTag tag) const {
  const SectionEntry* entry = find_entry(tag);
  return entry == nullptr ? nullptr : bytes_.data() + entry->offset;
}

Status SectionFile::expect(std::span<const Expected> expected) const {
  const auto is_same = [](const SectionEntry& entry, const Expected& wanted) {
    return entry.tag == static_cast<uint32_t>(wanted.tag) && entry.bytes == wanted.bytes;
  };
  const bool fits = std::equal(sections_.begin(), sections_.end(), expected.begin(),
                               expected.end(), is_same);
  return fits ? Status::ok() : damaged("the sections are not those that the header's counts need");
}

Status SectionFile::compare(SectionTag tag) const {
  const SectionEntry* entry = find_entry(tag);
  if (entry == nullptr || elanus::crc32c(find(tag), entry->bytes) == entry->crc)
    return Status::ok();
  return damaged("the checksum of section " + name_of(entry->tag) + " is wrong");
}

uint32_t SectionFile::crc32c() const {
  uint64_t end = kSectionAlignment;
  uint32_t crc = elanus::crc32c(bytes_.data(), end);
  for (const SectionEntry& section : sections_) {
    crc = elanus::crc32c(kZeros.data(), section.offset - end, crc);
    crc = crc32c_combine(crc, section.crc, section.bytes);
    end = section.offset + section.bytes;
  }
  return crc;
}

Status SectionFileWriter::create(const std::string& path, const CancelToken* cancel,
                                 std::unique_ptr<SectionFileWriter>* out) {
  std::unique_ptr<OutputFile> file;
  if (Status status = OutputFile::create(path, cancel, &file); !status.is_ok()) return status;
  file->skip_to(kSectionAlignment);
  out->reset(new SectionFileWriter(std::move(file)));
  return Status::ok();
}

void SectionFileWriter::begin(SectionTag tag) {
  end_section();
  assert(sections_.size() < kSectionsMax);
  pad();
  sections_.push_back({static_cast<uint32_t>(tag), 0, file_->bytes(), 0});
}

void SectionFileWriter::put(const void* data, uint64_t bytes) {
  assert(!sections_.empty());
  const auto* from = static_cast<const uint8_t*>(data);
  while (bytes > 0) {
    const uint64_t some = std::min(bytes, kPieceBytes);
    section_crc_ = elanus::crc32c(from, some, section_crc_);
    file_->put(from, some);
    from += some;
    bytes -= some;
  }
}

Status SectionFileWriter::finish(SectionFileHeader header) {
  end_section();
  header.sections = static_cast<uint32_t>(sections_.size());
  header.file_bytes = file_->bytes();
  header.crc = crc_of(header, sections_);
  std::array<uint8_t, kSectionAlignment> first{};
  std::memcpy(first.data(), &header, sizeof(header));
  std::ranges::copy(std::as_bytes(std::span(sections_)),
                    std::as_writable_bytes(std::span(first)).subspan(sizeof(header)).begin());
  crc_ = crc32c_combine(elanus::crc32c(first.data(), first.size()), crc_,
                        file_->bytes() - first.size());
  return file_->finish(first.data(), first.size());
}

void SectionFileWriter::end_section() {
  if (sections_.empty()) return;
  SectionEntry& section = sections_.back();
  section.bytes = file_->bytes() - section.offset;
  section.crc = section_crc_;
  crc_ = crc32c_combine(crc_, section_crc_, section.bytes);
  section_crc_ = 0;
}

void SectionFileWriter::pad() {
  const uint64_t end = aligned(file_->bytes());
  crc_ = elanus::crc32c(kZeros.data(), end - file_->bytes(), crc_);
  file_->skip_to(end);
}

}  // namespace elanus
