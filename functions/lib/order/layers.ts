import type { EdgeReason, OrderProblem, Placement } from './edges.ts'

/**
 * The graph has more nodes than objects. `open` and `done` are the two moments of an object; they differ where a
 * Kustomization waits for the health of what it applies. A `barrier` closes one of the fleet's layers: it keeps the
 * edges between layers linear in the number of objects.
 */
interface Node {
  readonly name: string
  readonly edges: Edge[]
  pending: number
  rank: number
}

interface Edge {
  readonly to: Node
  /** 1: only in a later layer. 0: in the same layer at the earliest. */
  readonly step: 0 | 1
  readonly reason: EdgeReason
}

/**
 * Computes the layer in which every object is opened, 0 first: the longest path to it. Objects that are part of a
 * cycle, or come after one, get no rank; each cycle is one problem that names its path.
 */
export function rankPlacements(
  placements: ReadonlyMap<string, Placement>,
  layers: readonly string[],
): { ranks: Map<string, number>; problems: OrderProblem[] } {
  const graph = new Graph(placements, layers)
  const ordered = graph.topological()
  for (const node of ordered) {
    for (const edge of node.edges) edge.to.rank = Math.max(edge.to.rank, node.rank + edge.step)
  }
  const done = new Set(ordered)
  const ranks = new Map<string, number>()
  for (const key of placements.keys()) {
    const node = graph.open(key)
    if (done.has(node)) ranks.set(key, node.rank)
  }
  return { ranks, problems: graph.cycles(done) }
}

class Graph {
  private readonly nodes = new Map<string, Node>()

  constructor(placements: ReadonlyMap<string, Placement>, layers: readonly string[]) {
    const waiting = new Set([...placements.values()].map((placement) => placement.awaitedBy))
    for (const key of placements.keys()) {
      const open = this.node(`open ${key}`)
      // An object that waits for nobody is done in the layer in which it opens: one node serves both moments.
      if (waiting.has(key)) this.connect(open, this.node(`done ${key}`), 0, 'waits for health of')
      else this.nodes.set(`done ${key}`, open)
    }
    for (const [key, { after, awaitedBy }] of placements) {
      for (const [before, reason] of after) this.connect(this.done(before), this.open(key), 1, reason)
      if (awaitedBy === undefined) continue
      this.connect(this.open(awaitedBy), this.open(key), 0, 'applied by')
      this.connect(this.done(key), this.done(awaitedBy), 0, 'waits for health of')
    }
    this.connectLayers(placements, layers)
  }

  open(key: string): Node {
    return this.node(`open ${key}`)
  }

  done(key: string): Node {
    return this.node(`done ${key}`)
  }

  /** Kahn's algorithm; nodes on or behind a cycle are left out. */
  topological(): Node[] {
    const ready = [...new Set(this.nodes.values())].filter((node) => node.pending === 0)
    for (let index = 0; index < ready.length; index++) {
      for (const { to } of ready[index]?.edges ?? []) if (--to.pending === 0) ready.push(to)
    }
    return ready
  }

  /** One problem for each cycle found among the nodes that are not in `done`. */
  cycles(done: ReadonlySet<Node>): OrderProblem[] {
    const seen = new Set<Node>(done)
    const problems: OrderProblem[] = []
    for (const start of new Set(this.nodes.values())) {
      if (seen.has(start)) continue
      const path = findCycle(start, seen)
      if (path) problems.push(describeCycle(path))
    }
    return problems
  }

  private connectLayers(placements: ReadonlyMap<string, Placement>, layers: readonly string[]): void {
    const used = [...new Set([...placements.values()].flatMap(({ fleetLayer }) => fleetLayer ?? []))].sort(
      (a, b) => a - b,
    )
    const barriers = new Map(used.map((layer) => [layer, this.node(`layer ${layers[layer]}`)]))
    const previous = new Map(used.slice(1).map((layer, index) => [layer, barriers.get(used[index] ?? -1)]))
    for (const [layer, barrier] of barriers) {
      const before = previous.get(layer)
      if (before) this.connect(before, barrier, 0, 'layer')
    }
    for (const [key, { fleetLayer }] of placements) {
      if (fleetLayer === undefined) continue
      const barrier = barriers.get(fleetLayer)
      const before = previous.get(fleetLayer)
      if (barrier) this.connect(this.done(key), barrier, 0, 'layer')
      if (before) this.connect(before, this.open(key), 1, 'layer')
    }
  }

  private node(name: string): Node {
    let node = this.nodes.get(name)
    if (!node) {
      node = { name, edges: [], pending: 0, rank: 0 }
      this.nodes.set(name, node)
    }
    return node
  }

  private connect(from: Node, to: Node, step: 0 | 1, reason: EdgeReason): void {
    from.edges.push({ to, step, reason })
    to.pending++
  }
}

interface Hop {
  readonly node: Node
  /** How the path came to `node`; undefined at its start. */
  readonly by: EdgeReason | undefined
}

/** Depth first without recursion: chains of thousands of objects must not overflow the stack. */
function findCycle(start: Node, seen: Set<Node>): Hop[] | undefined {
  const path: (Hop & { next: number })[] = [{ node: start, by: undefined, next: 0 }]
  const onPath = new Set([start])
  for (let top = path.at(-1); top; top = path.at(-1)) {
    const edge = top.node.edges[top.next++]
    if (!edge) {
      path.pop()
      onPath.delete(top.node)
      seen.add(top.node)
      continue
    }
    if (onPath.has(edge.to)) {
      const from = path.findIndex((hop) => hop.node === edge.to)
      for (const hop of path) seen.add(hop.node)
      return [...path.slice(from), { node: edge.to, by: edge.reason }]
    }
    if (seen.has(edge.to)) continue
    path.push({ node: edge.to, by: edge.reason, next: 0 })
    onPath.add(edge.to)
  }
  return undefined
}

function describeCycle(path: readonly Hop[]): OrderProblem {
  const steps: string[] = []
  for (const { node, by } of path) {
    const name = node.name.replace(/^(open|done) /, '')
    // The two moments of one object are one step to a reader.
    if (steps.at(-1)?.endsWith(name)) continue
    steps.push(by === undefined || steps.length === 0 ? name : `-> ${name}`)
  }
  const objects = [...new Set(path.map(({ node }) => node.name).filter((name) => !name.startsWith('layer ')))]
  return {
    kind: 'cycle',
    objects: [...new Set(objects.map((name) => name.replace(/^(open|done) /, '')))],
    message: `Nothing in this cycle can be first (each -> is "comes before"): ${steps.join(' ')}.`,
  }
}
