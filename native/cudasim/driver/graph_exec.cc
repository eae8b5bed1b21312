// Executable graphs: a graph flattened into steps with lanes of their own, so that branches really run in any order.
#include <algorithm>
#include <cstring>

#include "cudasim/driver/graph.h"

namespace warploom::cudasim {

namespace {

// Appends a graph's steps behind `roots`; returns the steps that nothing in it follows.
std::vector<uint32_t> flatten(const Graph& graph, const std::vector<uint32_t>& roots, std::vector<Step>& steps) {
  std::unordered_map<const Node*, std::vector<uint32_t>> ends;
  std::unordered_set<const Node*> followed;
  std::vector<const Node*> left;
  for (const auto& node : graph.nodes) {
    left.push_back(node.get());
    for (const Node* before : node->after) followed.insert(before);
  }
  while (!left.empty()) {
    const auto next = std::find_if(left.begin(), left.end(), [&](const Node* node) {
      return std::all_of(node->after.begin(), node->after.end(), [&](Node* before) { return ends.count(before) != 0; });
    });
    require(next != left.end(), CUDA_ERROR_INVALID_VALUE);  // a cycle
    const Node* node = *next;
    left.erase(next);
    std::vector<uint32_t> after;
    for (const Node* before : node->after) after.insert(after.end(), ends[before].begin(), ends[before].end());
    if (node->after.empty()) after = roots;
    if (node->work.kind == Work::Kind::child && !node->work.child->nodes.empty()) {
      ends[node] = flatten(*node->work.child, after, steps);
      continue;
    }
    Step step;
    step.node = node;
    step.work = node->work;
    step.after = after;
    ends[node] = {static_cast<uint32_t>(steps.size())};
    steps.push_back(std::move(step));
  }
  std::vector<uint32_t> last;
  for (const auto& node : graph.nodes) {
    if (followed.count(node.get()) == 0) last.insert(last.end(), ends[node.get()].begin(), ends[node.get()].end());
  }
  return last;
}

void instantiate(Call& c, CUgraphExec* exec, CUgraph graph) {
  Graph& source = graphAt(c.driver, graph);
  require(exec != nullptr, CUDA_ERROR_INVALID_VALUE);
  auto made = std::make_unique<GraphExec>();
  made->steps = plan(source);
  // A step goes on in the lane of the step before it; a fork opens another.
  std::vector<bool> continued(made->steps.size(), false);
  for (Step& step : made->steps) {
    const auto before = std::find_if(step.after.begin(), step.after.end(), [&](uint32_t i) { return !continued[i]; });
    if (before != step.after.end()) {
      continued[*before] = true;
      step.lane = made->steps[*before].lane;
    } else {
      step.lane = static_cast<uint32_t>(made->lanes.size());
      made->lanes.push_back(c.schedule().takeLane());
    }
  }
  *exec = made.get();
  c.driver.execs[made.get()] = std::move(made);
}

GraphExec& execAt(Driver& driver, CUgraphExec exec) {
  require(driver.execs.count(exec) != 0, CUDA_ERROR_INVALID_VALUE);
  return *exec;
}

// 0, or why a graph does not fit: 2 topology, 3 type, 4 function of another device.
int update(GraphExec& exec, std::vector<Step>&& steps, const Node*& at) {
  at = nullptr;
  if (steps.size() != exec.steps.size()) return 2;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    at = steps[i].node;
    if (steps[i].after != exec.steps[i].after) return 2;
    if (steps[i].work.kind != exec.steps[i].work.kind) return 3;
    if (steps[i].work.kind == Work::Kind::kernel && steps[i].work.device != exec.steps[i].work.device) return 4;
  }
  at = nullptr;
  for (std::size_t i = 0; i < steps.size(); ++i) exec.steps[i].work = std::move(steps[i].work);
  return 0;
}

int tryUpdate(Call& c, CUgraphExec exec, CUgraph graph, CUgraphNode* errorNode) {
  const Node* at = nullptr;
  const int result = update(execAt(c.driver, exec), plan(graphAt(c.driver, graph)), at);
  if (errorNode != nullptr) *errorNode = const_cast<Node*>(at);
  return result;
}

void replaceStep(Call& c, CUgraphExec exec, CUgraphNode node, Work&& work) {
  for (Step& step : execAt(c.driver, exec).steps) {
    if (step.node != node) continue;
    require(step.work.kind == work.kind, CUDA_ERROR_INVALID_VALUE);
    step.work = std::move(work);
    return;
  }
  throw ApiError{CUDA_ERROR_INVALID_VALUE};
}

}  // namespace

std::vector<Step> plan(const Graph& graph) {
  std::vector<Step> steps;
  flatten(graph, {}, steps);
  return steps;
}

CUresult cuGraphInstantiate_v2(CUgraphExec* exec, CUgraph graph, CUgraphNode* errorNode, char* log, size_t logBytes) {
  return call(Api::cuGraphInstantiate_v2, 0, [&](Call& c) {
    if (errorNode != nullptr) *errorNode = nullptr;
    if (log != nullptr && logBytes > 0) *log = 0;
    instantiate(c, exec, graph);
  });
}
CUresult cuGraphInstantiateWithFlags(CUgraphExec* exec, CUgraph graph, unsigned long long flags) {
  return call(Api::cuGraphInstantiateWithFlags, 0, [&](Call& c) {
    require((flags & ~0xbULL) == 0, CUDA_ERROR_INVALID_VALUE);  // graphs launched from a device are not modelled
    instantiate(c, exec, graph);
  });
}
CUresult cuGraphInstantiateWithParams(CUgraphExec* exec, CUgraph graph, CUDA_GRAPH_INSTANTIATE_PARAMS* params) {
  return call(Api::cuGraphInstantiateWithParams, 0, [&](Call& c) {
    require(params != nullptr && (params->flags & ~0xbULL) == 0, CUDA_ERROR_INVALID_VALUE);
    params->hErrNode_out = nullptr;
    params->result_out = 1;
    instantiate(c, exec, graph);
    params->result_out = 0;
  });
}

CUresult cuGraphExecUpdate(CUgraphExec exec, CUgraph graph, CUgraphNode* errorNode, int* result) {
  return call(Api::cuGraphExecUpdate, 0, [&](Call& c) {
    require(result != nullptr, CUDA_ERROR_INVALID_VALUE);
    *result = tryUpdate(c, exec, graph, errorNode);
    require(*result == 0, CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
  });
}
CUresult cuGraphExecUpdate_v2(CUgraphExec exec, CUgraph graph, CUgraphExecUpdateResultInfo* info) {
  return call(Api::cuGraphExecUpdate_v2, 0, [&](Call& c) {
    require(info != nullptr, CUDA_ERROR_INVALID_VALUE);
    info->errorFromNode = nullptr;
    info->result = tryUpdate(c, exec, graph, &info->errorNode);
    require(info->result == 0, CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
  });
}

CUresult cuGraphExecKernelNodeSetParams_v2(CUgraphExec exec, CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS* params) {
  return call(Api::cuGraphExecKernelNodeSetParams_v2, 0, [&](Call& c) {
    require(params != nullptr, CUDA_ERROR_INVALID_VALUE);
    replaceStep(c, exec, node, kernelWork(c, *params));
  });
}
CUresult cuGraphExecMemcpyNodeSetParams(CUgraphExec exec, CUgraphNode node, const CUDA_MEMCPY3D* params,
                                        CUcontext context) {
  return call(Api::cuGraphExecMemcpyNodeSetParams, 0, [&](Call& c) {
    require(params != nullptr, CUDA_ERROR_INVALID_VALUE);
    contextAt(c.driver, context);
    replaceStep(c, exec, node, copyWork3D(c, *params));
  });
}
CUresult cuGraphExecMemsetNodeSetParams(CUgraphExec exec, CUgraphNode node, const CUDA_MEMSET_NODE_PARAMS* params,
                                        CUcontext context) {
  return call(Api::cuGraphExecMemsetNodeSetParams, 0, [&](Call& c) {
    require(params != nullptr, CUDA_ERROR_INVALID_VALUE);
    contextAt(c.driver, context);
    replaceStep(
        c, exec, node,
        fillWork(c, params->dst, params->pitch, params->value, params->elementSize, params->width, params->height));
  });
}
CUresult cuGraphExecHostNodeSetParams(CUgraphExec exec, CUgraphNode node, const CUDA_HOST_NODE_PARAMS* params) {
  return call(Api::cuGraphExecHostNodeSetParams, 0, [&](Call& c) {
    require(params != nullptr, CUDA_ERROR_INVALID_VALUE);
    replaceStep(c, exec, node, hostWork(c, params->fn, params->userData));
  });
}

CUresult cuGraphUpload(CUgraphExec exec, CUstream stream) {
  return call(Api::cuGraphUpload, 0, [&](Call& c) {
    execAt(c.driver, exec);
    require(streamAt(c, stream).capture == nullptr, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  });
}

CUresult cuGraphLaunch(CUgraphExec exec, CUstream stream) {
  return call(Api::cuGraphLaunch, 0, [&](Call& c) {
    GraphExec& graph = execAt(c.driver, exec);
    Stream& target = streamAt(c, stream);
    if (target.capture != nullptr) target.capture->valid = false;  // child nodes by launch are not modelled
    require(target.capture == nullptr, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
    const JobPtr begin = openJob(c, target);
    begin->what = "graph";
    if (graph.last != nullptr) begin->after.push_back(graph.last);
    queueJob(c, target, begin);
    const JobPtr end = std::make_shared<Job>();
    end->lane = target.lane;
    end->device = begin->device;
    end->what = "graph";
    end->after.push_back(begin);
    std::vector<JobPtr> jobs;
    for (const Step& step : graph.steps) {
      auto job = std::make_shared<Job>();
      job->lane = graph.lanes[step.lane];
      job->device = step.work.device != nullptr ? step.work.device : begin->device;
      for (const uint32_t before : step.after) job->after.push_back(jobs[before]);
      if (step.after.empty()) job->after.push_back(begin);
      Work work = step.work;
      work.device = job->device;
      prepareAsync(c, work, job);
      c.schedule().enqueue(c.lock, job);
      end->after.push_back(job);
      jobs.push_back(job);
    }
    graph.last = end;
    queueJob(c, target, end);
  });
}

CUresult cuGraphExecDestroy(CUgraphExec exec) {
  return call(Api::cuGraphExecDestroy, kNoContext, [&](Call& c) {
    for (const uint32_t lane : execAt(c.driver, exec).lanes) c.schedule().releaseLane(lane);
    c.driver.execs.erase(exec);
  });
}

}  // namespace warploom::cudasim
