// What libraries forget to free, by name, so that the sanitizers tell what we forget: libsndfile 1.2 the Vorbis headers of
// a file that it then refuses, HDF5 1.10 what it had read of a damaged file's own structure. An identifier of HDF5 that we
// never close is still known to the library, and no leak to them either way.
extern "C" const char* __lsan_default_suppressions() { return "leak:libvorbis\nleak:libhdf5\n"; }
