// Graphs: nodes and edges.
#include "cudasim/driver/graph.h"

#include <algorithm>

namespace warploom::cudasim {

namespace {

std::vector<Node*> nodesAt(Call& call, const Graph& graph, const CUgraphNode* nodes, size_t count) {
  require(count == 0 || nodes != nullptr, CUDA_ERROR_INVALID_VALUE);
  std::vector<Node*> found;
  for (size_t i = 0; i < count; ++i) {
    nodeAt(call.driver, nodes[i]);
    require(call.driver.nodes.at(nodes[i]) == &graph, CUDA_ERROR_INVALID_VALUE);
    require(std::find(found.begin(), found.end(), nodes[i]) == found.end(), CUDA_ERROR_INVALID_VALUE);
    found.push_back(nodes[i]);
  }
  return found;
}

template <class Make>
CUresult addNode(Api api, CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies, size_t count,
                 Make&& make) {
  return call(api, 0, [&](Call& c) {
    Graph& owner = graphAt(c.driver, graph);
    require(node != nullptr, CUDA_ERROR_INVALID_VALUE);
    const std::vector<Node*> after = nodesAt(c, owner, dependencies, count);
    *node = owner.add(c.driver, make(c), after);
  });
}

// Replaces the work of a node by work of the same kind.
void replace(Call& call, CUgraphNode node, Work&& work) {
  Node& target = nodeAt(call.driver, node);
  require(target.work.kind == work.kind, CUDA_ERROR_INVALID_VALUE);
  target.work = std::move(work);
}

// The two-call convention of the getters: count only, or fill up to *count and say how many there were.
void fillList(const std::vector<Node*>& found, CUgraphNode* nodes, size_t* count) {
  require(count != nullptr, CUDA_ERROR_INVALID_VALUE);
  if (nodes != nullptr) {
    for (size_t i = 0; i < *count; ++i) nodes[i] = i < found.size() ? found[i] : nullptr;
  }
  *count = nodes == nullptr ? found.size() : std::min(*count, found.size());
}

void edgesOf(const Graph& graph, CUgraphNode* from, CUgraphNode* to, size_t* count) {
  std::vector<Node*> starts, ends;
  for (const auto& node : graph.nodes) {
    for (Node* before : node->after) {
      starts.push_back(before);
      ends.push_back(node.get());
    }
  }
  require(count != nullptr && (from == nullptr) == (to == nullptr), CUDA_ERROR_INVALID_VALUE);
  size_t second = *count;
  fillList(starts, from, count);
  fillList(ends, to, &second);
}

void addDependencies(Call& c, CUgraph graph, const CUgraphNode* from, const CUgraphNode* to, size_t count) {
  const Graph& owner = graphAt(c.driver, graph);
  require(count == 0 || (from != nullptr && to != nullptr), CUDA_ERROR_INVALID_VALUE);
  for (size_t i = 0; i < count; ++i) {
    nodesAt(c, owner, from + i, 1);
    nodesAt(c, owner, to + i, 1);
    std::vector<Node*>& after = to[i]->after;
    require(from[i] != to[i] && std::find(after.begin(), after.end(), from[i]) == after.end(),
            CUDA_ERROR_INVALID_VALUE);
    after.push_back(from[i]);
  }
}

Work memset(Call& c, const CUDA_MEMSET_NODE_PARAMS* params) {
  require(params != nullptr, CUDA_ERROR_INVALID_VALUE);
  return fillWork(c, params->dst, params->pitch, params->value, params->elementSize, params->width, params->height);
}
Work memcpy(Call& c, const CUDA_MEMCPY3D* params) {
  require(params != nullptr, CUDA_ERROR_INVALID_VALUE);
  return copyWork3D(c, *params);
}
Work kernel(Call& c, const CUDA_KERNEL_NODE_PARAMS* params) {
  require(params != nullptr, CUDA_ERROR_INVALID_VALUE);
  return kernelWork(c, *params);
}
Work host(Call& c, const CUDA_HOST_NODE_PARAMS* params) {
  require(params != nullptr, CUDA_ERROR_INVALID_VALUE);
  return hostWork(c, params->fn, params->userData);
}

}  // namespace

int Node::type() const {
  switch (work.kind) {
    case Work::Kind::kernel:
      return 0;
    case Work::Kind::copy:
      return 1;
    case Work::Kind::fill:
      return 2;
    case Work::Kind::host:
      return 3;
    case Work::Kind::child:
      return 4;
    default:
      return 5;
  }
}

Node* Graph::add(Driver& driver, Work&& work, const std::vector<Node*>& after) {
  auto node = std::make_unique<Node>();
  node->work = std::move(work);
  node->after = after;
  driver.nodes[node.get()] = this;
  nodes.push_back(std::move(node));
  return nodes.back().get();
}

CUresult cuGraphCreate(CUgraph* graph, unsigned flags) {
  return call(Api::cuGraphCreate, 0, [&](Call& c) {
    require(graph != nullptr && flags == 0, CUDA_ERROR_INVALID_VALUE);
    auto made = std::make_shared<Graph>();
    *graph = made.get();
    c.driver.graphs[made.get()] = std::move(made);
  });
}

CUresult cuGraphDestroy(CUgraph graph) {
  return call(Api::cuGraphDestroy, kNoContext, [&](Call& c) {
    for (const auto& node : graphAt(c.driver, graph).nodes) c.driver.nodes.erase(node.get());
    c.driver.graphs.erase(graph);
  });
}

static std::shared_ptr<Graph> copyOf(Driver& driver, const Graph& graph) {
  auto copy = std::make_shared<Graph>();
  std::unordered_map<const Node*, Node*> twins;
  for (const auto& node : graph.nodes) twins[node.get()] = copy->add(driver, Work(node->work), {});
  for (const auto& node : graph.nodes) {
    for (const Node* before : node->after) twins[node.get()]->after.push_back(twins[before]);
  }
  return copy;
}

CUresult cuGraphClone(CUgraph* clone, CUgraph graph) {
  return call(Api::cuGraphClone, kNoContext, [&](Call& c) {
    require(clone != nullptr, CUDA_ERROR_INVALID_VALUE);
    auto copy = copyOf(c.driver, graphAt(c.driver, graph));
    *clone = copy.get();
    c.driver.graphs[copy.get()] = std::move(copy);
  });
}

CUresult cuGraphAddKernelNode_v2(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies, size_t count,
                                 const CUDA_KERNEL_NODE_PARAMS* params) {
  return addNode(Api::cuGraphAddKernelNode_v2, node, graph, dependencies, count,
                 [&](Call& c) { return kernel(c, params); });
}
CUresult cuGraphAddMemcpyNode(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies, size_t count,
                              const CUDA_MEMCPY3D* params, CUcontext context) {
  return addNode(Api::cuGraphAddMemcpyNode, node, graph, dependencies, count, [&](Call& c) {
    contextAt(c.driver, context);
    return memcpy(c, params);
  });
}
CUresult cuGraphAddMemsetNode(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies, size_t count,
                              const CUDA_MEMSET_NODE_PARAMS* params, CUcontext context) {
  return addNode(Api::cuGraphAddMemsetNode, node, graph, dependencies, count, [&](Call& c) {
    contextAt(c.driver, context);
    return memset(c, params);
  });
}
CUresult cuGraphAddHostNode(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies, size_t count,
                            const CUDA_HOST_NODE_PARAMS* params) {
  return addNode(Api::cuGraphAddHostNode, node, graph, dependencies, count, [&](Call& c) { return host(c, params); });
}
CUresult cuGraphAddEmptyNode(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies, size_t count) {
  return addNode(Api::cuGraphAddEmptyNode, node, graph, dependencies, count, [](Call&) { return Work(); });
}
CUresult cuGraphAddChildGraphNode(CUgraphNode* node, CUgraph graph, const CUgraphNode* dependencies, size_t count,
                                  CUgraph child) {
  return addNode(Api::cuGraphAddChildGraphNode, node, graph, dependencies, count, [&](Call& c) {
    require(child != graph, CUDA_ERROR_INVALID_VALUE);
    Work work;
    work.kind = Work::Kind::child;
    work.child = copyOf(c.driver, graphAt(c.driver, child));
    return work;
  });
}

CUresult cuGraphDestroyNode(CUgraphNode node) {
  return call(Api::cuGraphDestroyNode, kNoContext, [&](Call& c) {
    nodeAt(c.driver, node);
    Graph& owner = *c.driver.nodes.at(node);
    for (const auto& other : owner.nodes) {
      other->after.erase(std::remove(other->after.begin(), other->after.end(), node), other->after.end());
    }
    c.driver.nodes.erase(node);
    owner.nodes.erase(std::find_if(owner.nodes.begin(), owner.nodes.end(),
                                   [&](const std::unique_ptr<Node>& held) { return held.get() == node; }));
  });
}

CUresult cuGraphAddDependencies(CUgraph graph, const CUgraphNode* from, const CUgraphNode* to, size_t count) {
  return call(Api::cuGraphAddDependencies, kNoContext, [&](Call& c) { addDependencies(c, graph, from, to, count); });
}
CUresult cuGraphAddDependencies_v2(CUgraph graph, const CUgraphNode* from, const CUgraphNode* to,
                                   const CUgraphEdgeData*, size_t count) {
  return call(Api::cuGraphAddDependencies_v2, kNoContext, [&](Call& c) { addDependencies(c, graph, from, to, count); });
}

CUresult cuGraphGetNodes(CUgraph graph, CUgraphNode* nodes, size_t* count) {
  return call(Api::cuGraphGetNodes, kNoContext, [&](Call& c) {
    std::vector<Node*> all;
    for (const auto& node : graphAt(c.driver, graph).nodes) all.push_back(node.get());
    fillList(all, nodes, count);
  });
}
CUresult cuGraphGetRootNodes(CUgraph graph, CUgraphNode* nodes, size_t* count) {
  return call(Api::cuGraphGetRootNodes, kNoContext, [&](Call& c) {
    std::vector<Node*> roots;
    for (const auto& node : graphAt(c.driver, graph).nodes) {
      if (node->after.empty()) roots.push_back(node.get());
    }
    fillList(roots, nodes, count);
  });
}
CUresult cuGraphGetEdges(CUgraph graph, CUgraphNode* from, CUgraphNode* to, size_t* count) {
  return call(Api::cuGraphGetEdges, kNoContext, [&](Call& c) { edgesOf(graphAt(c.driver, graph), from, to, count); });
}
CUresult cuGraphGetEdges_v2(CUgraph graph, CUgraphNode* from, CUgraphNode* to, CUgraphEdgeData* edges, size_t* count) {
  return call(Api::cuGraphGetEdges_v2, kNoContext, [&](Call& c) {
    edgesOf(graphAt(c.driver, graph), from, to, count);
    if (edges != nullptr) std::fill(edges, edges + *count, CUgraphEdgeData{});
  });
}
CUresult cuGraphNodeGetType(CUgraphNode node, int* type) {
  return call(Api::cuGraphNodeGetType, kNoContext, [&](Call& c) {
    require(type != nullptr, CUDA_ERROR_INVALID_VALUE);
    *type = nodeAt(c.driver, node).type();
  });
}
CUresult cuGraphNodeGetDependencies(CUgraphNode node, CUgraphNode* dependencies, size_t* count) {
  return call(Api::cuGraphNodeGetDependencies, kNoContext,
              [&](Call& c) { fillList(nodeAt(c.driver, node).after, dependencies, count); });
}
CUresult cuGraphNodeGetDependencies_v2(CUgraphNode node, CUgraphNode* dependencies, CUgraphEdgeData* edges,
                                       size_t* count) {
  return call(Api::cuGraphNodeGetDependencies_v2, kNoContext, [&](Call& c) {
    fillList(nodeAt(c.driver, node).after, dependencies, count);
    if (edges != nullptr) std::fill(edges, edges + *count, CUgraphEdgeData{});
  });
}

CUresult cuGraphKernelNodeGetParams_v2(CUgraphNode node, CUDA_KERNEL_NODE_PARAMS* params) {
  return call(Api::cuGraphKernelNodeGetParams_v2, kNoContext, [&](Call& c) {
    Work& work = nodeAt(c.driver, node).work;
    require(params != nullptr && work.kind == Work::Kind::kernel, CUDA_ERROR_INVALID_VALUE);
    // The pointers stay good until the node changes, as the API says.
    work.paramPointers.clear();
    for (const Param& param : work.function->kernel->params) {
      work.paramPointers.push_back(work.params.data() + param.offset);
    }
    *params = {work.function, work.grid[0],     work.grid[1],
               work.grid[2],  work.block[0],    work.block[1],
               work.block[2], work.sharedBytes, work.paramPointers.data(),
               nullptr,       nullptr,          work.function->module->context};
  });
}
CUresult cuGraphKernelNodeSetParams_v2(CUgraphNode node, const CUDA_KERNEL_NODE_PARAMS* params) {
  return call(Api::cuGraphKernelNodeSetParams_v2, 0, [&](Call& c) { replace(c, node, kernel(c, params)); });
}
CUresult cuGraphMemcpyNodeSetParams(CUgraphNode node, const CUDA_MEMCPY3D* params) {
  return call(Api::cuGraphMemcpyNodeSetParams, 0, [&](Call& c) { replace(c, node, memcpy(c, params)); });
}
CUresult cuGraphMemsetNodeSetParams(CUgraphNode node, const CUDA_MEMSET_NODE_PARAMS* params) {
  return call(Api::cuGraphMemsetNodeSetParams, 0, [&](Call& c) { replace(c, node, memset(c, params)); });
}
CUresult cuGraphHostNodeSetParams(CUgraphNode node, const CUDA_HOST_NODE_PARAMS* params) {
  return call(Api::cuGraphHostNodeSetParams, 0, [&](Call& c) { replace(c, node, host(c, params)); });
}

}  // namespace warploom::cudasim
