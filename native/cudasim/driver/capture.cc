// Stream capture: work goes into a graph instead of the queue, and whatever would wait for it is refused.
#include <algorithm>

#include "cudasim/driver/graph.h"

namespace warploom::cudasim {

namespace {

void forget(Driver& driver, const Capture* capture) {
  driver.captures.erase(std::remove_if(driver.captures.begin(), driver.captures.end(),
                                       [&](const std::weak_ptr<Capture>& weak) {
                                         const auto held = weak.lock();
                                         return held == nullptr || held.get() == capture;
                                       }),
                        driver.captures.end());
  for (const auto& event : driver.events) {
    if (event.first->capture.get() == capture) {
      event.first->capture = nullptr;
      event.first->nodes.clear();
    }
  }
}

void captureInfo(Call& c, CUstream stream, int* status, cuuint64_t* id, CUgraph* graph,
                 const CUgraphNode** dependencies, size_t* count) {
  require(status != nullptr, CUDA_ERROR_INVALID_VALUE);
  Stream& asked = streamAt(c, stream);
  const Capture* capture = asked.capture.get();
  *status = capture == nullptr ? 0 : capture->valid ? 1 : 2;
  if (*status != 1) return;
  const std::vector<Node*>& frontier = capture->frontier.at(&asked);
  if (id != nullptr) *id = capture->id;
  if (graph != nullptr) *graph = capture->graph;
  if (dependencies != nullptr) *dependencies = frontier.data();
  if (count != nullptr) *count = frontier.size();
}

}  // namespace

int& captureModeOfThread() {
  thread_local int mode = 0;
  return mode;
}

void record(Call& call, Stream& stream, Work&& work) {
  Capture& capture = *stream.capture;
  require(capture.valid, CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
  std::vector<Node*>& frontier = capture.frontier[&stream];
  Node* node = capture.owned->add(call.driver, std::move(work), frontier);
  frontier = {node};
}

CUresult cuStreamBeginCapture_v2(CUstream stream, int mode) {
  return call(Api::cuStreamBeginCapture_v2, 0, [&](Call& c) {
    require(mode >= 0 && mode <= 2, CUDA_ERROR_INVALID_VALUE);
    Stream& target = streamAt(c, stream);
    require(!target.legacy, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    require(target.capture == nullptr, CUDA_ERROR_ILLEGAL_STATE);
    auto capture = std::make_shared<Capture>();
    capture->owned = std::make_shared<Graph>();
    capture->graph = capture->owned.get();
    capture->origin = &target;
    capture->thread = std::this_thread::get_id();
    capture->mode = mode;
    capture->id = ++c.driver.ids;
    capture->frontier[&target] = {};
    c.driver.graphs[capture->graph] = capture->owned;
    c.driver.captures.push_back(capture);
    target.capture = std::move(capture);
  });
}

CUresult cuStreamEndCapture(CUstream stream, CUgraph* graph) {
  return call(Api::cuStreamEndCapture, 0, [&](Call& c) {
    require(graph != nullptr, CUDA_ERROR_INVALID_VALUE);
    Stream& target = streamAt(c, stream);
    require(target.capture != nullptr, CUDA_ERROR_ILLEGAL_STATE);
    const std::shared_ptr<Capture> capture = target.capture;
    require(capture->origin == &target, CUDA_ERROR_STREAM_CAPTURE_UNMATCHED);
    require(capture->mode == 2 || capture->thread == std::this_thread::get_id(),
            CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD);
    *graph = nullptr;
    // What other streams captured must have come back to this one.
    std::vector<Node*> reached = capture->frontier[&target];
    for (std::size_t i = 0; i < reached.size(); ++i) {
      for (Node* before : reached[i]->after) {
        if (std::find(reached.begin(), reached.end(), before) == reached.end()) reached.push_back(before);
      }
    }
    bool joined = true;
    for (const auto& part : capture->frontier) {
      for (Node* node : part.second) joined &= std::find(reached.begin(), reached.end(), node) != reached.end();
      part.first->capture = nullptr;
    }
    forget(c.driver, capture.get());
    if (capture->valid && joined) {
      *graph = capture->graph;
      return;
    }
    for (const auto& node : capture->graph->nodes) c.driver.nodes.erase(node.get());
    c.driver.graphs.erase(capture->graph);
    throw ApiError{capture->valid ? CUDA_ERROR_STREAM_CAPTURE_UNJOINED : CUDA_ERROR_STREAM_CAPTURE_INVALIDATED};
  });
}

CUresult cuStreamIsCapturing(CUstream stream, int* status) {
  return call(Api::cuStreamIsCapturing, 0,
              [&](Call& c) { captureInfo(c, stream, status, nullptr, nullptr, nullptr, nullptr); });
}

CUresult cuStreamGetCaptureInfo_v2(CUstream stream, int* status, cuuint64_t* id, CUgraph* graph,
                                   const CUgraphNode** dependencies, size_t* count) {
  return call(Api::cuStreamGetCaptureInfo_v2, 0,
              [&](Call& c) { captureInfo(c, stream, status, id, graph, dependencies, count); });
}

CUresult cuStreamGetCaptureInfo_v3(CUstream stream, int* status, cuuint64_t* id, CUgraph* graph,
                                   const CUgraphNode** dependencies, const CUgraphEdgeData** edges, size_t* count) {
  return call(Api::cuStreamGetCaptureInfo_v3, 0, [&](Call& c) {
    if (edges != nullptr) *edges = nullptr;  // every edge is a plain one
    captureInfo(c, stream, status, id, graph, dependencies, count);
  });
}

CUresult cuThreadExchangeStreamCaptureMode(int* mode) {
  return call(Api::cuThreadExchangeStreamCaptureMode, kNoContext, [&](Call&) {
    require(mode != nullptr && *mode >= 0 && *mode <= 2, CUDA_ERROR_INVALID_VALUE);
    std::swap(*mode, captureModeOfThread());
  });
}

}  // namespace warploom::cudasim
