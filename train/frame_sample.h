// Frames for clusters, drawn from a corpus by hash into memory: about as many as asked for, all of them where there are
// fewer. Nothing of the features goes to the disk.
#pragma once
#include <functional>
#include <vector>

#include "data/frame_features.h"
#include "train/communicator.h"

namespace hinoki {

struct FrameSampling {
  int64_t frames = 2'000'000;  // of all ranks together; each is drawn by itself, so give or take their square root
  int64_t slots = 1;           // a multiple of the number of ranks
  uint64_t seed = 0;
  std::function<void()> check_stop = {};  // called for each utterance: what it throws ends the drawing
};

// The rows of this rank's slots, [rows, dim] each. An utterance belongs to one slot, and only its rank reads it. Which
// frames are drawn, in which slot and in which order depends on the corpus, the seed and the number of slots alone.
std::vector<std::vector<float>> draw_frames(const Communicator& ranks, const FrameFeatures& features,
                                            const FrameSampling& sampling);

}  // namespace hinoki
