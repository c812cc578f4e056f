// Naming what went wrong: kernels and source lines by address (from the program's own debug information), threads.
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <vector>

#include "kernels/simt/engine.h"

namespace hinoki::simt {
namespace {

std::string base_name(std::string path) { return path.substr(path.rfind('/') + 1); }

std::vector<std::string> lines_of(const std::string& command) {
  std::vector<std::string> lines;
  char text[1024];
  if (FILE* f = popen(command.c_str(), "r")) {
    while (std::fgets(text, sizeof text, f) != nullptr) lines.emplace_back(text, std::strcspn(text, "\n"));
    pclose(f);
  }
  return lines;
}

std::vector<std::string> ask_debug_information(const char* options, uintptr_t address) {
  std::ostringstream command;
  command << "addr2line " << options << " -e /proc/" << getpid() << "/exe 0x" << std::hex << address << " 2>/dev/null";
  return lines_of(command.str());
}

void erase_all(std::string& text, const std::string& part) {
  for (size_t at; (at = text.find(part)) != std::string::npos;) text.erase(at, part.size());
}

}  // namespace

// Where a function was inlined, its callers follow.
std::string source_line(uintptr_t address) {
  std::string all;
  for (const std::string& line : ask_debug_information("-s -i", address - 1))  // the call, not what follows it
    all += (all.empty() ? "" : ", from ") + line.substr(0, line.find(' '));
  return all.empty() ? "?" : all;
}

std::string kernel_name(const void* kernel) {
  const std::vector<std::string> lines = ask_debug_information("-f -C", reinterpret_cast<uintptr_t>(kernel));
  std::string name = lines.empty() ? "" : lines[0];
  erase_all(name, "(anonymous namespace)::");
  erase_all(name, "hinoki::");
  erase_all(name, "kernels::");
  if (name.starts_with("void ")) name.erase(0, 5);
  name = name.substr(0, name.find('('));
  return name.empty() ? "kernel" : name;
}

std::string to_string(const Site& site) { return say(base_name(site.file_name()), ":", site.line()); }

std::string location(const Engine& e) {
  return say("kernel ", kernel_name(e.launch->kernel), ", block (", e.block.x, ",", e.block.y, ",", e.block.z,
             "), thread ", e.self->index, ": ");
}

void fault_shuffle_source(int lane) { fault("a shuffle reads lane ", lane, ", which is not in the mask"); }
void fault_shuffle_width(int width) { fault("a shuffle's width is ", width, ", not a power of two up to 32"); }
void fault_alignment(const char* operation, const void* address, int bytes) {
  fault(operation, " of ", address, ", which is not aligned to ", bytes, " bytes");
}
void fault_trap() { fault("__trap"); }

}  // namespace hinoki::simt
