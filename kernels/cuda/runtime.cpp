// The device table (core/base/device.h) on a GPU, by way of the CUDA runtime, and what the backend library exports.
#include <cuda_runtime_api.h>

#include <atomic>
#include <cstring>

#include "core/base/backend.h"
#include "core/base/device.h"
#include "kernels/cuda/launch_record.h"
#include "kernels/kernel.h"

namespace hinoki {

namespace kernels {
void check_faults(Stream stream);  // of kernels/cuda/fault.h, which only nvcc reads
}

namespace {

constexpr int kOldest = 8;  // compute capability: bf16 tensor cores and cp.async start there

std::string name;                 // of the GPU
std::atomic<int> chosen{0};       // the GPU of this process
thread_local int in_thread = -1;  // CUDA keeps a current GPU for each thread

void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  fail("CUDA: ", what, ": ", cudaGetErrorString(error), ". If a kernel is the cause, it was ",
       simt::describe(simt::last_launch), " or one before it; CUDA_LAUNCH_BLOCKING=1 names it");
}

// Every function of the table begins here.
cudaStream_t on_device(Stream stream) {
  const int index = chosen;
  if (in_thread != index) check(cudaSetDevice(index), "choosing the GPU");
  in_thread = index;
  return static_cast<cudaStream_t>(stream.handle);
}

void finish(Stream stream) { check(cudaStreamSynchronize(on_device(stream)), "waiting for the GPU"); }

void synchronize(Stream stream) {
  finish(stream);
  kernels::check_faults(stream);
}

void* allocate(size_t bytes, size_t) {
  on_device({});
  void* data = nullptr;
  const cudaError_t error = cudaMalloc(&data, bytes);
  if (error == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // or the next launch reports it again
    return nullptr;
  }
  check(error, "allocating memory");
  return data;
}

// Called by destructors, also after an error that the GPU reports from then on at every call, and at the end of the
// program, when the driver may be gone: failing to release is no news.
void release(void* data) {
  if (in_thread != chosen && cudaSetDevice(chosen) == cudaSuccess) in_thread = chosen;
  if (cudaFree(data) != cudaSuccess) cudaGetLastError();
}

size_t free_memory() {
  on_device({});
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "asking for the free memory");
  return free;
}

size_t total_memory() {
  on_device({});
  size_t free = 0, total = 0;
  check(cudaMemGetInfo(&free, &total), "asking for the memory");
  return total;
}

void copy_in(void* to, const void* host, size_t bytes, Stream stream) {
  check(cudaMemcpyAsync(to, host, bytes, cudaMemcpyHostToDevice, on_device(stream)), "copying to the GPU");
  // Ordinary memory has been read when the call returns; pinned memory has not.
  cudaPointerAttributes what{};
  check(cudaPointerGetAttributes(&what, host), "asking about memory");
  if (what.type == cudaMemoryTypeHost) finish(stream);
}

void copy_out(void* host, const void* from, size_t bytes, Stream stream) {
  check(cudaMemcpyAsync(host, from, bytes, cudaMemcpyDeviceToHost, on_device(stream)), "copying from the GPU");
  synchronize(stream);
}

// A failure of the device comes back at every call from then on: nothing is lost by not looking at it.
bool peek(void* host, const void* from, size_t bytes, Stream stream) noexcept {
  if (in_thread != chosen && cudaSetDevice(chosen) == cudaSuccess) in_thread = chosen;
  const auto on = static_cast<cudaStream_t>(stream.handle);
  return cudaMemcpyAsync(host, from, bytes, cudaMemcpyDeviceToHost, on) == cudaSuccess &&
         cudaStreamSynchronize(on) == cudaSuccess;
}

void copy(void* to, const void* from, size_t bytes, Stream stream) {
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, on_device(stream)), "copying on the GPU");
}

void fill(void* to, unsigned char value, size_t bytes, Stream stream) {
  check(cudaMemsetAsync(to, value, bytes, on_device(stream)), "filling memory");
}

Stream make_stream() {
  on_device({});
  int least = 0, greatest = 0;
  check(cudaDeviceGetStreamPriorityRange(&least, &greatest), "asking for the priorities of streams");
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithPriority(&stream, cudaStreamNonBlocking, greatest), "making a stream");
  return {stream};
}

void release_stream(Stream stream) noexcept {
  if (in_thread != chosen && cudaSetDevice(chosen) == cudaSuccess) in_thread = chosen;
  if (cudaStreamDestroy(static_cast<cudaStream_t>(stream.handle)) != cudaSuccess) cudaGetLastError();
}

// Whoever waits for one sleeps: the core is wanted for other things.
Event make_event() {
  on_device({});
  cudaEvent_t event = nullptr;
  check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming | cudaEventBlockingSync), "making an event");
  return {event};
}

void release_event(Event event) noexcept {
  if (cudaEventDestroy(static_cast<cudaEvent_t>(event.handle)) != cudaSuccess) cudaGetLastError();
}

void record(Event event, Stream stream) {
  check(cudaEventRecord(static_cast<cudaEvent_t>(event.handle), on_device(stream)), "recording an event");
}

bool passed(Event event) {
  on_device({});
  const cudaError_t state = cudaEventQuery(static_cast<cudaEvent_t>(event.handle));
  if (state == cudaErrorNotReady) {
    cudaGetLastError();  // or the next launch reports it
    return false;
  }
  check(state, "asking about an event");
  return true;
}

void await(Event event) {
  on_device({});
  check(cudaEventSynchronize(static_cast<cudaEvent_t>(event.handle)), "waiting for an event");
}

constexpr const char* kOrCpu = "; device = \"cpu\" needs no GPU";

const DeviceTable* start(int index) {
  static DeviceTable table;
  int driver = 0, runtime = 0, count = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  require<Exit::usage>(driver != 0, "CUDA: no NVIDIA driver answers on this machine (libcuda.so.1)", kOrCpu);
  const cudaError_t error = cudaGetDeviceCount(&count);
  require<Exit::usage>(error == cudaSuccess && count > 0, "CUDA: the driver (for CUDA ", driver / 1000, ".",
                       driver % 1000 / 10, ", this program needs ", runtime / 1000,
                       ") offers no GPU: ", error == cudaSuccess ? "none is visible" : cudaGetErrorString(error),
                       kOrCpu);
  require<Exit::usage>(index >= 0 && index < count, "CUDA: there is no GPU number ", index, ", this machine shows ",
                       count);
  cudaDeviceProp properties{};
  check(cudaGetDeviceProperties(&properties, index), "asking about the GPU");
  require<Exit::usage>(properties.major >= kOldest, "CUDA: ", properties.name, " has compute capability ",
                       properties.major, ".", properties.minor, "; the kernels need ", kOldest, ".0", kOrCpu);
  name = properties.name;
  chosen = index;
  on_device({});
  table = {.name = name.c_str(),
           .every_block_its_own = false,
           .allocate = allocate,
           .release = release,
           .free_memory = free_memory,
           .total_memory = total_memory,
           .copy_in = copy_in,
           .copy_out = copy_out,
           .copy = copy,
           .fill = fill,
           .synchronize = synchronize,
           .make_stream = make_stream,
           .release_stream = release_stream,
           .make_event = make_event,
           .release_event = release_event,
           .record = record,
           .passed = passed,
           .await = await,
           .peek = peek,
           .forget = nullptr};
  return &table;
}

const void* address(const char* what) {
  if (std::strcmp(what, "cuda_device") == 0) return &cuda_device;
  for (const kernels::KernelRecord* k = kernels::all_kernels; k != nullptr; k = k->next)
    if (std::strcmp(what, k->name) == 0) return k;
  return nullptr;
}

}  // namespace
}  // namespace hinoki

extern "C" const hinoki::CudaBackend hinoki_cuda_backend = {
    .version = HINOKI_VERSION, .start = hinoki::start, .address = hinoki::address};
