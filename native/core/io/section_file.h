// ELVX, the one form of index files (docs/formats/index-file.md): a header, a table of sections and
// the sections, each at a multiple of 4096 and with a CRC32C of its own. Header and table have one
// too. The first page is all that opening reads; bodies are compared later, by whoever asks.
//
// What a section holds is the container's matter. A file that does not open (damage, another
// version, a section that the container does not know) is built again: nothing is migrated.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "base/status.h"
#include "io/mapped_file.h"
#include "io/output_file.h"

namespace elanus {

constexpr uint32_t kSectionFileMagic = 0x58564c45;  // "ELVX"
constexpr uint32_t kSectionFileVersion = 1;
constexpr uint64_t kSectionAlignment = 4096;
constexpr uint32_t kSectionsMax = 64;

// What a file is: each container's own header has its number, docs/formats/index-file.md all.
// A number is never used for another form: an incompatible one gets a new number.
enum class Container : uint32_t {};
enum class SectionTag : uint32_t {};

// Four letters, as a hex dump shows them.
constexpr SectionTag section_tag(const char (&letters)[5]) {
  return SectionTag{static_cast<uint32_t>(static_cast<uint8_t>(letters[0])) |
                    static_cast<uint32_t>(static_cast<uint8_t>(letters[1])) << 8 |
                    static_cast<uint32_t>(static_cast<uint8_t>(letters[2])) << 16 |
                    static_cast<uint32_t>(static_cast<uint8_t>(letters[3])) << 24};
}

struct SectionEntry {
  uint32_t tag = 0;
  uint32_t crc = 0;     // CRC32C of the section's bytes
  uint64_t offset = 0;  // a multiple of kSectionAlignment
  uint64_t bytes = 0;
};
static_assert(sizeof(SectionEntry) == 24);

// The first page: this, then `sections` entries, then zeros. Little-endian.
struct SectionFileHeader {
  uint32_t magic = kSectionFileMagic;
  uint32_t version = kSectionFileVersion;
  uint32_t container = 0;
  uint32_t sections = 0;
  uint64_t file_bytes = 0;
  uint64_t rows = 0;          // of the segment
  uint32_t dim = 0;           // of a vector field, else 0
  uint32_t element = 0;       // schema.DataType of a vector's elements or of the indexed values
  uint32_t metric = 0;        // of a vector index: numbers of Metric
  uint32_t zero = 0;
  uint64_t seed = 0;          // of what chance decided in the build
  uint8_t parameters[64] = {};  // a structure of the container's
  uint32_t zero2 = 0;
  uint32_t crc = 0;           // CRC32C of the header before it and of the table
};
static_assert(sizeof(SectionFileHeader) == 128);
static_assert(sizeof(SectionFileHeader) + kSectionsMax * sizeof(SectionEntry) <= kSectionAlignment);

// Parameters of a container, put into the header and taken out of it.
template <typename Parameters>
void set_parameters(SectionFileHeader& header, const Parameters& parameters) {
  static_assert(std::is_trivially_copyable_v<Parameters>);
  static_assert(sizeof(Parameters) <= sizeof(header.parameters));
  std::memcpy(header.parameters, &parameters, sizeof(parameters));
}
template <typename Parameters>
Parameters get_parameters(const SectionFileHeader& header) {
  static_assert(sizeof(Parameters) <= sizeof(header.parameters));
  Parameters parameters;
  std::memcpy(&parameters, header.parameters, sizeof(parameters));
  return parameters;
}

// A file that is open for reading. Its bytes never change (R16).
class SectionFile {
 public:
  // Maps the file and checks header and table. Errors: kIo, kDataIntegrity.
  static Status open(const std::string& path, std::shared_ptr<const SectionFile>* out);
  // Over bytes that outlive it and begin at a multiple of 8.
  static Status of_bytes(std::span<const uint8_t> bytes, std::shared_ptr<const SectionFile>* out);

  const SectionFileHeader& header() const { return header_; }
  Container container() const { return static_cast<Container>(header_.container); }
  uint64_t bytes() const { return header_.file_bytes; }
  // CRC32C of the whole file as its table tells it, without a look at the sections: what whoever
  // wrote the file has noted of it.
  uint32_t crc32c() const;
  const std::vector<SectionEntry>& sections() const { return sections_; }

  struct Expected {
    SectionTag tag;
    uint64_t bytes;
  };
  // kDataIntegrity unless the file has exactly these sections, in this order, of these sizes.
  Status expect(std::span<const Expected> expected) const;
  // A section's first item; null when there is no such section. T has an alignment of 8 at most.
  template <typename T>
  const T* section(SectionTag tag) const {
    return reinterpret_cast<const T*>(find(tag));
  }
  // Reads a section against its checksum: for those that are used without a look at each number.
  // kDataIntegrity; of a section that is not there ok.
  Status compare(SectionTag tag) const;

 private:
  SectionFile(std::unique_ptr<MappedFile> file, std::span<const uint8_t> bytes)
      : file_(std::move(file)), bytes_(bytes) {}
  Status read_table();
  const SectionEntry* find_entry(SectionTag tag) const;
  const uint8_t* find(SectionTag tag) const;

  std::unique_ptr<MappedFile> file_;  // null: over bytes of someone else
  std::span<const uint8_t> bytes_;
  SectionFileHeader header_;
  std::vector<SectionEntry> sections_;
};

// Header and table of a file's first bytes: kDataIntegrity unless they are whole and `file_bytes`
// is what they say. `first` is the first kSectionAlignment bytes, or all of a shorter file.
Status read_section_table(std::span<const uint8_t> first, uint64_t file_bytes,
                          SectionFileHeader* header, std::vector<SectionEntry>* sections);

// Writes such a file section by section.
class SectionFileWriter {
 public:
  // Errors and `cancel`: OutputFile.
  static Status create(const std::string& path, const CancelToken* cancel,
                       std::unique_ptr<SectionFileWriter>* out);

  // What is put from now on belongs to a section of this tag, which the file does not have yet.
  void begin(SectionTag tag);
  void put(const void* data, uint64_t bytes);
  template <typename T>
  void put_all(std::span<const T> items) {
    put(items.data(), items.size_bytes());
  }
  template <typename T>
  void put_section(SectionTag tag, std::span<const T> items) {
    begin(tag);
    put_all(items);
  }
  // Writes header and table; the header's counts of bytes and sections and its CRC are set here.
  // Errors: of anything since `create`.
  Status finish(SectionFileHeader header);

  // When finished: the file's length and the CRC32C of all of it.
  uint64_t bytes() const { return file_->bytes(); }
  uint32_t crc32c() const { return crc_; }

 private:
  explicit SectionFileWriter(std::unique_ptr<OutputFile> file) : file_(std::move(file)) {}
  void end_section();
  void pad();

  std::unique_ptr<OutputFile> file_;
  std::vector<SectionEntry> sections_;
  uint32_t section_crc_ = 0;
  uint32_t crc_ = 0;  // of the bytes behind the first page; at the end of the whole file
};

}  // namespace elanus
