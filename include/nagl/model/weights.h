#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "nagl/core/torch.h"

namespace nagl {

/// A safetensors file: its directory is read and checked when it is opened, a tensor's bytes when
/// it is asked for. It is opened once, and stays open as long as this object or a copy of it is
/// there: what is read is that file, also where another has taken its place meanwhile. Every fault
/// is a ModelError that names the file and, where there is one, the tensor. Safe to use from
/// several threads.
class WeightsFile {
 public:
  /// What the header says of one tensor.
  struct Entry {
    std::string name;
    at::ScalarType dtype = at::kFloat;
    std::vector<std::int64_t> shape;
    std::uint64_t begin = 0;  ///< first byte, from the start of the file
    std::uint64_t size = 0;   ///< bytes
  };

  /// @throws ModelError if the file is missing, truncated, or its header is not a valid safetensors
  ///         header whose tensors fill the file exactly, without overlap.
  explicit WeightsFile(std::filesystem::path path);

  const std::filesystem::path& path() const { return path_; }
  /// Tensors by name.
  const std::map<std::string, Entry>& entries() const { return entries_; }
  /// The file's `__metadata__`.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  /// One entry of it; empty where it is not there.
  std::string text(const std::string& key) const;

  /// One entry's description. @throws ModelError if the tensor is missing.
  const Entry& entry(const std::string& name) const;
  /// One tensor, as stored, on the CPU. @throws ModelError if it is missing or cannot be read.
  at::Tensor read(const std::string& name) const;

  /// SHA-256 over names, types, shapes and bytes of all tensors in the order of their names: equal
  /// for files of the same weights, whatever their metadata. Reads the whole file.
  std::string checksum() const;

  /// Copies every tensor of the file into the parameter or buffer of that name, converting floating
  /// types. @throws ModelError if a tensor is missing, surplus, of another shape,
  /// not floating or not finite.
  /// @param prefix of the names of the module's tensors in the file; others are left alone
  void load_into(torch::nn::Module& module, const std::string& prefix = "") const;

 private:
  [[noreturn]] void fail(const std::string& why) const;
  void read_header(std::uint64_t file_size);
  /// Reads exactly `size` bytes at `offset`; false where the file ends before, or on an error.
  bool read_at(void* data, std::uint64_t size, std::uint64_t offset) const;

  struct Descriptor;

  std::filesystem::path path_;
  std::shared_ptr<const Descriptor> file_;
  std::map<std::string, Entry> entries_;
  std::map<std::string, std::string> metadata_;
};

/// Writes tensors as safetensors, atomically, in the order of their names.
/// @param tensors any device and strides; float64, float32, float16, bfloat16, int64, int32, uint8
///        or bool
/// @param flush as AtomicFile::commit
/// @throws DataError naming the file if it cannot be written.
void write_weights(const std::filesystem::path& path,
                   const std::map<std::string, at::Tensor>& tensors,
                   const std::map<std::string, std::string>& metadata, bool flush = true);

/// What `write_weights` writes.
std::string weights_bytes(const std::map<std::string, at::Tensor>& tensors,
                          const std::map<std::string, std::string>& metadata);

/// SHA-256 as `WeightsFile::checksum` gives it for a file of these tensors.
std::string checksum_of(const std::map<std::string, at::Tensor>& tensors);

/// The parameters and buffers of a module by name, detached.
std::map<std::string, at::Tensor> state_of(const torch::nn::Module& module);

}  // namespace nagl
