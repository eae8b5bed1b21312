// Graphs from explicit nodes and from capture; what a capture refuses.
#include "driver_api.h"

using namespace warploom::test;

namespace {
CUstream stream(unsigned flags = 1) {
  CUstream made = nullptr;
  OK(CU(cuStreamCreate)(&made, flags));
  return made;
}
CUDA_MEMCPY3D inside(CUdeviceptr to, CUdeviceptr from, size_t bytes) {
  CUDA_MEMCPY3D copy{};
  copy.srcMemoryType = copy.dstMemoryType = 2;
  copy.srcDevice = from;
  copy.dstDevice = to;
  copy.WidthInBytes = bytes;
  copy.Height = copy.Depth = 1;
  return copy;
}
CUDA_MEMSET_NODE_PARAMS words(CUdeviceptr to, unsigned value, size_t count) {
  CUDA_MEMSET_NODE_PARAMS params{};
  params.dst = to;
  params.value = value;
  params.elementSize = 4;
  params.width = count;
  params.height = 1;
  return params;
}
}  // namespace

TEST(explicitNodesFollowTheirEdges) {
  for (const char* seed : {"0", "1", "2", "3", "4"}) {
    isolated({{"CUDASIM_SEED", seed}}, [] {
      const CUcontext context = openDevice();
      const CUstream s = stream();
      const CUdeviceptr a = deviceBytes(64), b = deviceBytes(64), d = deviceBytes(64);
      CUgraph graph = nullptr;
      OK(CU(cuGraphCreate)(&graph, 0));
      CUgraphNode left, right, both, host, end;
      CUDA_MEMSET_NODE_PARAMS fill = words(a, 1, 16);
      OK(CU(cuGraphAddMemsetNode)(&left, graph, nullptr, 0, &fill, context));
      fill = words(b, 2, 16);
      OK(CU(cuGraphAddMemsetNode)(&right, graph, nullptr, 0, &fill, context));
      const CUgraphNode before[] = {left, right};
      CUDA_MEMCPY3D copy = inside(d, a, 32);
      OK(CU(cuGraphAddMemcpyNode)(&both, graph, before, 2, &copy, context));
      static int calls = 0;
      CUDA_HOST_NODE_PARAMS call{[](void*) { ++calls; }, nullptr};
      OK(CU(cuGraphAddHostNode)(&host, graph, &both, 1, &call));
      OK(CU(cuGraphAddEmptyNode)(&end, graph, &host, 1));
      int type = -1;
      OK(CU(cuGraphNodeGetType)(both, &type));
      CHECK(type == 1);
      size_t count = 0;
      OK(CU(cuGraphGetNodes)(graph, nullptr, &count));
      CHECK(count == 5);
      OK(CU(cuGraphGetRootNodes)(graph, nullptr, &count));
      CHECK(count == 2);
      OK(CU(cuGraphGetEdges_v2)(graph, nullptr, nullptr, nullptr, &count));
      CHECK(count == 4);
      CUgraphExec exec = nullptr;
      OK(CU(cuGraphInstantiateWithFlags)(&exec, graph, 0));
      OK(CU(cuGraphUpload)(exec, s));
      for (int i = 0; i < 3; ++i) OK(CU(cuGraphLaunch)(exec, s));
      OK(CU(cuStreamSynchronize)(s));
      CHECK(calls == 3 && download<int>(d, 1)[0] == 1);
      // One node changed in place, then the whole graph.
      fill = words(a, 7, 16);
      OK(CU(cuGraphExecMemsetNodeSetParams)(exec, left, &fill, context));
      OK(CU(cuGraphLaunch)(exec, s));
      OK(CU(cuStreamSynchronize)(s));
      CHECK(download<int>(d, 1)[0] == 7);
      fill = words(a, 8, 16);
      OK(CU(cuGraphMemsetNodeSetParams)(left, &fill));
      CUgraphExecUpdateResultInfo info{};
      OK(CU(cuGraphExecUpdate_v2)(exec, graph, &info));
      OK(CU(cuGraphLaunch)(exec, s));
      OK(CU(cuStreamSynchronize)(s));
      CHECK(download<int>(d, 1)[0] == 8);
      OK(CU(cuGraphDestroyNode)(end));
      FAILS(CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE, CU(cuGraphExecUpdate_v2)(exec, graph, &info));
      CHECK(info.result == 2);
      OK(CU(cuGraphDestroy)(graph));
      OK(CU(cuGraphLaunch)(exec, s));  // lives on without its graph
      OK(CU(cuStreamSynchronize)(s));
      OK(CU(cuGraphExecDestroy)(exec));
      FAILS(CUDA_ERROR_INVALID_VALUE, CU(cuGraphLaunch)(exec, s));
    });
  }
}

TEST(branchesWithoutAnEdgeAreFound) {
  isolated({{"CUDASIM_REPORT", "/dev/null"}}, [] {
    const CUcontext context = openDevice();
    const CUstream s = stream();
    const CUdeviceptr a = deviceBytes(64);
    CUgraph graph = nullptr;
    OK(CU(cuGraphCreate)(&graph, 0));
    CUgraphNode node;
    for (unsigned i = 0; i < 2; ++i) {
      const CUDA_MEMSET_NODE_PARAMS fill = words(a, i, 16);
      OK(CU(cuGraphAddMemsetNode)(&node, graph, nullptr, 0, &fill, context));
    }
    CUgraphExec exec = nullptr;
    OK(CU(cuGraphInstantiateWithFlags)(&exec, graph, 0));
    OK(CU(cuGraphLaunch)(exec, s));
    FAILS(CUDA_ERROR_LAUNCH_FAILED, CU(cuStreamSynchronize)(s));
  });
}

TEST(cyclesAreRefused) {
  isolated({}, [] {
    openDevice();
    CUgraph graph = nullptr;
    OK(CU(cuGraphCreate)(&graph, 0));
    CUgraphNode first, second;
    OK(CU(cuGraphAddEmptyNode)(&first, graph, nullptr, 0));
    OK(CU(cuGraphAddEmptyNode)(&second, graph, &first, 1));
    OK(CU(cuGraphAddDependencies_v2)(graph, &second, &first, nullptr, 1));
    CUgraphExec exec = nullptr;
    FAILS(CUDA_ERROR_INVALID_VALUE, CU(cuGraphInstantiateWithFlags)(&exec, graph, 0));
  });
}

TEST(captureAcrossStreams) {
  isolated({{"CUDASIM_SEED", "5"}}, [] {
    openDevice();
    const CUstream s = stream(), side = stream();
    const CUdeviceptr a = deviceBytes(64), b = deviceBytes(64);
    CUevent fork = nullptr, joined = nullptr;
    OK(CU(cuEventCreate)(&fork, 2));
    OK(CU(cuEventCreate)(&joined, 2));
    OK(CU(cuStreamBeginCapture_v2)(s, 0));
    OK(CU(cuMemsetD32Async)(a, 5, 16, s));
    OK(CU(cuEventRecord)(fork, s));
    OK(CU(cuStreamWaitEvent)(side, fork, 0));
    OK(CU(cuMemcpyDtoDAsync_v2)(b, a, 32, side));
    OK(CU(cuEventRecord)(joined, side));
    OK(CU(cuMemcpyDtoDAsync_v2)(b + 32, a, 32, s));
    int status = 0;
    OK(CU(cuStreamIsCapturing)(side, &status));
    CHECK(status == 1);
    OK(CU(cuStreamWaitEvent)(s, joined, 0));
    CUgraph graph = nullptr;
    OK(CU(cuStreamEndCapture)(s, &graph));
    OK(CU(cuStreamIsCapturing)(side, &status));
    CHECK(status == 0);
    size_t nodes = 0, edges = 0;
    OK(CU(cuGraphGetNodes)(graph, nullptr, &nodes));
    OK(CU(cuGraphGetEdges)(graph, nullptr, nullptr, &edges));
    CHECK(nodes == 3 && edges == 2);
    OK(CU(cuMemsetD32_v2)(a, 0, 16));
    CUgraphExec exec = nullptr;
    OK(CU(cuGraphInstantiateWithFlags)(&exec, graph, 0));
    OK(CU(cuCtxSynchronize)());
    OK(CU(cuGraphLaunch)(exec, s));
    OK(CU(cuStreamSynchronize)(s));
    const std::vector<int> got = download<int>(b, 16);
    CHECK(got[0] == 5 && got[15] == 5);
  });
}

TEST(captureRefusesWhatSynchronizes) {
  isolated({}, [] {
    openDevice();
    const CUstream s = stream(), other = stream(), blocking = stream(0);
    const CUdeviceptr a = deviceBytes(64);
    CUgraph graph = nullptr;
    CUdeviceptr more = 0;
    const auto ends = [&](CUresult code, CUresult got) {
      FAILS(code, got);
      FAILS(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, CU(cuStreamEndCapture)(s, &graph));
    };
    OK(CU(cuStreamBeginCapture_v2)(s, 0));
    ends(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, CU(cuStreamSynchronize)(s));
    OK(CU(cuStreamBeginCapture_v2)(s, 0));
    ends(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, CU(cuStreamSynchronize)(other));
    OK(CU(cuStreamBeginCapture_v2)(s, 0));
    ends(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, CU(cuMemAlloc_v2)(&more, 16));
    OK(CU(cuStreamBeginCapture_v2)(s, 1));
    ends(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, CU(cuCtxSynchronize)());
    OK(CU(cuStreamBeginCapture_v2)(s, 0));
    int value = 0;
    ends(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, CU(cuMemcpyDtoH_v2)(&value, a, 4));
    // Relaxed allows what does not touch the capture.
    OK(CU(cuStreamBeginCapture_v2)(s, 2));
    OK(CU(cuMemAlloc_v2)(&more, 16));
    OK(CU(cuStreamSynchronize)(other));
    OK(CU(cuStreamEndCapture)(s, &graph));
    // The legacy stream would wait for a blocking one.
    OK(CU(cuStreamBeginCapture_v2)(blocking, 2));
    FAILS(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT, CU(cuMemsetD8Async)(a, 0, 4, nullptr));
    FAILS(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, CU(cuStreamEndCapture)(blocking, &graph));
    FAILS(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, CU(cuStreamBeginCapture_v2)(nullptr, 2));
    // Work of another stream that never came back, and an event from outside.
    CUevent event = nullptr;
    OK(CU(cuEventCreate)(&event, 2));
    OK(CU(cuStreamBeginCapture_v2)(s, 2));
    OK(CU(cuEventRecord)(event, s));
    OK(CU(cuStreamWaitEvent)(other, event, 0));
    FAILS(CUDA_ERROR_CAPTURED_EVENT, CU(cuEventQuery)(event));
    FAILS(CUDA_ERROR_STREAM_CAPTURE_UNMATCHED, CU(cuStreamEndCapture)(other, &graph));
    FAILS(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, CU(cuStreamEndCapture)(s, &graph));
    OK(CU(cuStreamBeginCapture_v2)(s, 2));
    OK(CU(cuEventRecord)(event, s));
    OK(CU(cuStreamWaitEvent)(other, event, 0));
    OK(CU(cuMemsetD8Async)(a, 0, 4, other));
    FAILS(CUDA_ERROR_STREAM_CAPTURE_UNJOINED, CU(cuStreamEndCapture)(s, &graph));
    OK(CU(cuEventRecord)(event, other));
    OK(CU(cuStreamBeginCapture_v2)(s, 2));
    FAILS(CUDA_ERROR_STREAM_CAPTURE_ISOLATION, CU(cuStreamWaitEvent)(s, event, 0));
    FAILS(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, CU(cuStreamEndCapture)(s, &graph));
    OK(CU(cuCtxSynchronize)());
  });
}
