// HDF5 files for finished inputs: attributes, and datasets that grow by rows. Every call of the HDF5 library is in
// hdf5.cpp behind one mutex, because the library is not safe to enter twice. It is not proof against hostile files:
// what is read here is checked for rot (by checksums, in the files' users), not for malice.
#pragma once
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/dtype.h"
#include "core/base/handle.h"

namespace hinoki {

void close_hdf5(int64_t id);
using Hdf5Id = Handle<int64_t, close_hdf5, int64_t{-1}>;

// What a new dataset looks like: rows of `row_shape` (empty: scalars), stored in chunks of `chunk_rows` rows.
struct Hdf5Layout {
  DType type = DType::f32;
  std::vector<int64_t> row_shape = {};
  int64_t chunk_rows = 1;
};

class Hdf5Dataset {
 public:
  DType type() const { return type_; }
  int64_t rows() const { return rows_; }
  const std::vector<int64_t>& row_shape() const { return row_shape_; }
  int64_t row_elements() const;

  // Elements, a whole number of rows of them, in the dataset's own type.
  template <class T>
  void append(std::span<const T> elements) {
    append_raw(elements.data(), int64_t(elements.size()), dtype_of<T>());
  }
  // Fills `out` with whole rows from row `first` on, converting integers if `T` is wider than what is stored.
  template <class T>
  void read(int64_t first, std::span<T> out) const {
    read_raw(out.data(), first, int64_t(out.size()), dtype_of<T>());
  }

 private:
  friend class Hdf5File;
  void append_raw(const void* elements, int64_t count, DType type);
  void read_raw(void* out, int64_t first, int64_t count, DType type) const;
  int64_t rows_of(int64_t elements) const;

  Hdf5Id id_;
  std::string place_;  // "file: dataset", for messages
  DType type_ = DType::f32;
  int64_t rows_ = 0;
  std::vector<int64_t> row_shape_;
};

class Hdf5File {
 public:
  static Hdf5File create(const std::filesystem::path& path);  // replaces what is there; no times are stored
  static Hdf5File open(const std::filesystem::path& path);    // to read
  // Flushes and says if that failed (a full disk), which a destructor could not. Datasets must be gone by then.
  void close();

  const std::filesystem::path& path() const { return path_; }
  void create_group(const std::string& name);
  bool has(const std::string& name) const;
  std::vector<std::string> names(const std::string& group = "/") const;  // in alphabetical order
  Hdf5Dataset create_dataset(const std::string& name, const Hdf5Layout& layout);
  Hdf5Dataset dataset(const std::string& name) const;

  // Attributes of the whole file.
  void set(const std::string& name, int64_t value);
  void set(const std::string& name, std::string_view value);
  int64_t integer(const std::string& name) const;
  std::string text(const std::string& name) const;

 private:
  std::filesystem::path path_;
  Hdf5Id id_;
};

}  // namespace hinoki
