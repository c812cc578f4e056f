#include "data/hdf5.h"

#include <hdf5.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>
#include <mutex>

#include "core/base/file_system.h"

namespace hinoki {
namespace {

std::mutex one_at_a_time;

// Holds the mutex, keeps HDF5 from printing its own error stack, and from cleaning up when the process exits: after a
// failed write (a full disk) it cannot close the file, and that clean-up crashes on it.
struct Entered {
  Entered() : lock(one_at_a_time) {
    static const herr_t ready = (H5dont_atexit(), H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr));
    (void)ready;
  }
  std::lock_guard<std::mutex> lock;
};

// The innermost entry of HDF5's error stack: the one that knows the cause.
std::string reason() {
  std::string text = "HDF5 gives no reason";
  H5Ewalk2(
      H5E_DEFAULT, H5E_WALK_UPWARD,
      [](unsigned n, const H5E_error2_t* entry, void* out) -> herr_t {
        if (n == 0 && entry->desc) *static_cast<std::string*>(out) = entry->desc;
        return 0;
      },
      &text);
  H5Eclear2(H5E_DEFAULT);
  return text;
}

// What the system said to a write, out of "file write failed: time = ..., filename = '...', ..., errno = 28, ...".
void fail_if_not_written(const std::string& reason) {
  const std::string_view file = "filename = '", number = "errno = ";
  const size_t name = reason.find(file), code = reason.find(number);
  if (!reason.starts_with("file write failed") || name == reason.npos || code == reason.npos) return;
  const size_t begin = name + file.size(), end = reason.find('\'', begin);
  fail_writing("write", reason.substr(begin, end - begin), std::atoi(reason.c_str() + code + number.size()));
}

template <class Id, class... Parts>
Id checked(Id id, const Parts&... what) {
  if (id >= 0) return id;
  const std::string why = reason();
  fail_if_not_written(why);
  fail<Exit::data>(what..., ": ", why);
}

hid_t memory_type(DType type) {
  switch (type) {
    case DType::f32:
      return H5T_NATIVE_FLOAT;
    case DType::f64:
      return H5T_NATIVE_DOUBLE;
    case DType::i32:
      return H5T_NATIVE_INT32;
    case DType::i64:
      return H5T_NATIVE_INT64;
    case DType::u8:
      return H5T_NATIVE_UINT8;
    case DType::bf16:
    case DType::f16:
    case DType::u16:
      return H5T_NATIVE_UINT16;
    case DType::u32:
      return H5T_NATIVE_UINT32;
    case DType::i16:
      return H5T_NATIVE_INT16;
  }
  return -1;
}

// Always little-endian in the file, so that the bytes are the same on every machine.
hid_t file_type(DType type) {
  switch (type) {
    case DType::f32:
      return H5T_IEEE_F32LE;
    case DType::f64:
      return H5T_IEEE_F64LE;
    case DType::i32:
      return H5T_STD_I32LE;
    case DType::i64:
      return H5T_STD_I64LE;
    case DType::u8:
      return H5T_STD_U8LE;
    case DType::bf16:
    case DType::f16:
    case DType::u16:
      return H5T_STD_U16LE;
    case DType::u32:
      return H5T_STD_U32LE;
    case DType::i16:
      return H5T_STD_I16LE;
  }
  return -1;
}

DType stored_type(hid_t type, const std::string& place) {
  for (const DType t : {DType::f32, DType::f64, DType::i16, DType::i32, DType::i64, DType::u8, DType::u16, DType::u32})
    if (H5Tequal(type, file_type(t)) > 0) return t;
  fail<Exit::data>(place, ": holds elements of a type that Hinoki does not use");
}

// H5Tclose and its like: closing the last reference of any identifier closes the object.
void close_unlocked(int64_t id) {
  if (H5Iis_valid(id) > 0) H5Idec_ref(id);
}

struct LocalId {
  explicit LocalId(hid_t id) : id(id) {}
  LocalId(const LocalId&) = delete;
  ~LocalId() { close_unlocked(id); }
  operator hid_t() const { return id; }
  hid_t id;
};

}  // namespace

void close_hdf5(int64_t id) {
  const Entered in;
  close_unlocked(id);
}

int64_t Hdf5Dataset::row_elements() const {
  int64_t n = 1;
  for (const int64_t d : row_shape_) n *= d;
  return n;
}

int64_t Hdf5Dataset::rows_of(int64_t elements) const {
  const int64_t per_row = row_elements();
  require(per_row > 0 && elements % per_row == 0, place_, ": ", elements, " elements are no whole number of rows of ",
          per_row);
  return elements / per_row;
}

void Hdf5Dataset::append_raw(const void* elements, int64_t count, DType type) {
  require(type == type_, place_, ": cannot append ", type, " to a dataset of ", type_);
  const int64_t more = rows_of(count);
  if (more == 0) return;
  const Entered in;
  std::vector<hsize_t> size{hsize_t(rows_ + more)}, start{hsize_t(rows_)}, block{hsize_t(more)};
  for (const int64_t d : row_shape_) size.push_back(d), start.push_back(0), block.push_back(d);
  checked(H5Dset_extent(id_.get(), size.data()), "cannot grow ", place_);
  const LocalId space(checked(H5Dget_space(id_.get()), place_));
  checked(H5Sselect_hyperslab(space, H5S_SELECT_SET, start.data(), nullptr, block.data(), nullptr), place_);
  const LocalId memory(H5Screate_simple(int(block.size()), block.data(), nullptr));
  checked(H5Dwrite(id_.get(), memory_type(type_), memory, space, H5P_DEFAULT, elements), "cannot write ", place_);
  rows_ += more;
}

void Hdf5Dataset::read_raw(void* out, int64_t first, int64_t count, DType type) const {
  const int64_t wanted = rows_of(count);
  require<Exit::data>(first >= 0 && wanted <= rows_ && first <= rows_ - wanted, place_, ": rows ", first, " to ",
                      first + wanted, " are asked for, it has ", rows_);
  if (wanted == 0) return;
  const Entered in;
  std::vector<hsize_t> start{hsize_t(first)}, block{hsize_t(wanted)};
  for (const int64_t d : row_shape_) start.push_back(0), block.push_back(d);
  const LocalId space(checked(H5Dget_space(id_.get()), place_));
  checked(H5Sselect_hyperslab(space, H5S_SELECT_SET, start.data(), nullptr, block.data(), nullptr), place_);
  const LocalId memory(H5Screate_simple(int(block.size()), block.data(), nullptr));
  checked(H5Dread(id_.get(), memory_type(type), memory, space, H5P_DEFAULT, out), "cannot read ", place_);
}

Hdf5File Hdf5File::create(const std::filesystem::path& path) {
  Hdf5File file;  // outlives the lock: its destructor takes it
  const Entered in;
  file.path_ = path;
  const LocalId access(H5Pcreate(H5P_FILE_ACCESS));
  H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V18);
  const LocalId settings(H5Pcreate(H5P_FILE_CREATE));
  H5Pset_obj_track_times(settings, false);
  file.id_ = Hdf5Id(checked(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, settings, access), "cannot create ", path));
  return file;
}

Hdf5File Hdf5File::open(const std::filesystem::path& path) {
  // HDF5 does not say why a file cannot be opened; the system does.
  const std::ifstream readable(path);
  require<Exit::data>(readable.is_open(), "cannot open ", path, ": ", std::strerror(errno));
  Hdf5File file;  // outlives the lock: its destructor takes it
  const Entered in;
  file.path_ = path;
  require<Exit::data>(H5Fis_hdf5(path.c_str()) > 0, path, " is not an HDF5 file, or its beginning is damaged");
  file.id_ = Hdf5Id(checked(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), "cannot open ", path,
                            " (cut short while it was written or copied?)"));
  return file;
}

void Hdf5File::close() {
  if (!id_) return;
  {
    const Entered in;
    checked(H5Fflush(id_.get(), H5F_SCOPE_LOCAL), "cannot write ", path_);
  }
  id_ = Hdf5Id();
}

void Hdf5File::create_group(const std::string& name) {
  const Entered in;
  const LocalId group(checked(H5Gcreate2(id_.get(), name.c_str(), H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT),
                              "cannot create group ", name, " in ", path_));
}

bool Hdf5File::has(const std::string& name) const {
  const Entered in;
  const bool found = H5Lexists(id_.get(), name.c_str(), H5P_DEFAULT) > 0;
  H5Eclear2(H5E_DEFAULT);
  return found;
}

std::vector<std::string> Hdf5File::names(const std::string& group) const {
  const Entered in;
  const LocalId id(checked(H5Gopen2(id_.get(), group.c_str(), H5P_DEFAULT), path_, ": no group ", group));
  std::vector<std::string> found;
  const auto collect = [](hid_t, const char* name, const H5L_info_t*, void* out) -> herr_t {
    static_cast<std::vector<std::string>*>(out)->push_back(name);
    return 0;
  };
  checked(H5Literate(id, H5_INDEX_NAME, H5_ITER_INC, nullptr, collect, &found), "cannot list ", path_);
  std::sort(found.begin(), found.end());
  return found;
}

Hdf5Dataset Hdf5File::create_dataset(const std::string& name, const Hdf5Layout& layout) {
  require(layout.chunk_rows > 0, path_, ": chunks of ", name, " need at least one row");
  Hdf5Dataset d;
  const Entered in;
  d.place_ = say(path_.string(), ": dataset ", name);
  d.type_ = layout.type;
  d.row_shape_ = layout.row_shape;
  std::vector<hsize_t> size{0}, most{H5S_UNLIMITED}, chunk{hsize_t(layout.chunk_rows)};
  for (const int64_t n : layout.row_shape) size.push_back(n), most.push_back(n), chunk.push_back(n);
  const LocalId space(H5Screate_simple(int(size.size()), size.data(), most.data()));
  const LocalId settings(H5Pcreate(H5P_DATASET_CREATE));
  H5Pset_chunk(settings, int(chunk.size()), chunk.data());
  H5Pset_obj_track_times(settings, false);  // the same data must give the same bytes
  d.id_ = Hdf5Id(
      checked(H5Dcreate2(id_.get(), name.c_str(), file_type(layout.type), space, H5P_DEFAULT, settings, H5P_DEFAULT),
              "cannot create ", d.place_));
  return d;
}

Hdf5Dataset Hdf5File::dataset(const std::string& name) const {
  Hdf5Dataset d;
  const Entered in;
  d.place_ = say(path_.string(), ": dataset ", name);
  const hid_t id = H5Dopen2(id_.get(), name.c_str(), H5P_DEFAULT);
  d.id_ = Hdf5Id(checked(id, d.place_, " cannot be opened"));
  const LocalId space(checked(H5Dget_space(id), d.place_));
  hsize_t size[H5S_MAX_RANK];
  const int rank = checked(H5Sget_simple_extent_dims(space, size, nullptr), d.place_);
  require<Exit::data>(rank >= 1, d.place_, " is a scalar, rows are expected");
  for (int i = 0; i < rank; ++i)
    require<Exit::data>(size[i] <= hsize_t(std::numeric_limits<int32_t>::max()) << (i == 0 ? 20 : 0), d.place_,
                        ": dimension ", i, " is ", size[i], ", which cannot be");
  d.rows_ = int64_t(size[0]);
  d.row_shape_.assign(size + 1, size + rank);
  const LocalId type(checked(H5Dget_type(id), d.place_));
  d.type_ = stored_type(type, d.place_);
  return d;
}

void Hdf5File::set(const std::string& name, int64_t value) {
  const Entered in;
  const LocalId space(H5Screate(H5S_SCALAR));
  const LocalId a(checked(H5Acreate2(id_.get(), name.c_str(), H5T_STD_I64LE, space, H5P_DEFAULT, H5P_DEFAULT), path_,
                          ": cannot create attribute ", name));
  checked(H5Awrite(a, H5T_NATIVE_INT64, &value), path_, ": cannot write attribute ", name);
}

void Hdf5File::set(const std::string& name, std::string_view value) {
  const Entered in;
  const LocalId space(H5Screate(H5S_SCALAR)), type(H5Tcopy(H5T_C_S1));
  const std::string terminated(value);
  H5Tset_size(type, terminated.size() + 1);
  H5Tset_cset(type, H5T_CSET_UTF8);
  const LocalId a(checked(H5Acreate2(id_.get(), name.c_str(), type, space, H5P_DEFAULT, H5P_DEFAULT), path_,
                          ": cannot create attribute ", name));
  checked(H5Awrite(a, type, terminated.c_str()), path_, ": cannot write attribute ", name);
}

int64_t Hdf5File::integer(const std::string& name) const {
  const Entered in;
  const LocalId a(checked(H5Aopen(id_.get(), name.c_str(), H5P_DEFAULT), path_, " has no attribute ", name));
  const LocalId type(checked(H5Aget_type(a), path_)), space(checked(H5Aget_space(a), path_));
  require<Exit::data>(H5Tget_class(type) == H5T_INTEGER && H5Sget_simple_extent_npoints(space) == 1, path_,
                      ": attribute ", name, " is not an integer");
  int64_t value = 0;
  checked(H5Aread(a, H5T_NATIVE_INT64, &value), path_, ": cannot read attribute ", name);
  return value;
}

std::string Hdf5File::text(const std::string& name) const {
  const Entered in;
  const LocalId a(checked(H5Aopen(id_.get(), name.c_str(), H5P_DEFAULT), path_, " has no attribute ", name));
  const LocalId type(checked(H5Aget_type(a), path_)), space(checked(H5Aget_space(a), path_));
  const size_t size = H5Tget_size(type);
  require<Exit::data>(H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0 && size <= (1 << 20) &&
                          H5Sget_simple_extent_npoints(space) == 1,
                      path_, ": attribute ", name, " is not a short text");
  std::string value(size, '\0');
  checked(H5Aread(a, type, value.data()), path_, ": cannot read attribute ", name);
  return value.substr(0, value.find('\0'));
}

}  // namespace hinoki
