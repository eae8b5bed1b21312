// Graphs, their executable copies, and captures under way.
#pragma once

#include "cudasim/driver/work.h"

namespace warploom::cudasim {

struct Node {
  Work work;
  std::vector<Node*> after;
  int type() const;
};

struct Graph {
  std::vector<std::unique_ptr<Node>> nodes;
  Node* add(Driver& driver, Work&& work, const std::vector<Node*>& after);
};

// One node of an executable graph: its work, the steps before it, and the lane among the graph's own that it runs in.
struct Step {
  const Node* node = nullptr;  // of the graph that it came from: the key for updates
  Work work;
  std::vector<uint32_t> after;
  uint32_t lane = 0;
};
struct GraphExec {
  std::vector<Step> steps;  // in an order that respects `after`
  std::vector<uint32_t> lanes;
  JobPtr last;  // a launch waits for the launch before it
};

struct Capture {
  Graph* graph = nullptr;
  std::shared_ptr<Graph> owned;
  Stream* origin = nullptr;
  std::thread::id thread;
  int mode = 0;
  uint64_t id = 0;
  bool valid = true;
  std::unordered_map<Stream*, std::vector<Node*>> frontier;  // per stream taking part: the nodes that come next behind
};

// Appends work to the capture of a stream.
void record(Call& call, Stream& stream, Work&& work);
// Flattens a graph (children included) into steps; throws CUDA_ERROR_INVALID_VALUE on a cycle.
std::vector<Step> plan(const Graph& graph);
int& captureModeOfThread();

}  // namespace warploom::cudasim
