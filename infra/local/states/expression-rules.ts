import { compile, isExpression } from './jsonata-expression.ts'
import { functionNames } from './jsonata-functions.ts'

interface Node {
  readonly type: string
  readonly [field: string]: unknown
}

/**
 * What is wrong with a string of a definition as an expression: it does not parse, uses what Step Functions does not
 * offer (`$eval`, `$` and `$$` and field names at the top level, operators newer than JSONata 2.0.6), or reads a
 * variable that nothing assigns. Empty for plain strings.
 */
export function expressionProblems(text: string, variables: ReadonlySet<string>): string[] {
  if (!isExpression(text)) {
    const half = text.startsWith('{%') || text.endsWith('%}')
    return half ? ['an expression starts with {% and ends with %}, with nothing around it'] : []
  }
  try {
    const root = compile(text).ast() as unknown as Node
    return [...new Set([...topLevelProblems(root), ...nameProblems(root, variables), ...newerProblems(root)])]
  } catch (error) {
    return [`JSONata does not parse: ${(error as { message?: string }).message ?? 'unknown reason'}`]
  }
}

const isNode = (value: unknown): value is Node =>
  typeof value === 'object' && value !== null && typeof (value as { type?: unknown }).type === 'string'

/** Parts that JSONata evaluates against the same context as the node itself; the others get a new one. */
const inherited: Readonly<Record<string, readonly string[]>> = {
  binary: ['lhs', 'rhs'],
  unary: ['expression', 'expressions', 'lhs'],
  function: ['arguments', 'procedure'],
  partial: ['arguments', 'procedure'],
  block: ['expressions'],
  condition: ['condition', 'then', 'else'],
  bind: ['rhs'],
  lambda: ['body'],
  apply: ['lhs', 'rhs'],
}

/** There is no implicit input: `$`, `$$` and bare field names have nothing to refer to. */
function topLevelProblems(node: Node): string[] {
  if (node.type === 'path') {
    const first = (node.steps as unknown[])[0]
    return isNode(first) ? topLevelProblems(first) : []
  }
  if (node.type === 'name')
    return [`field name "${String(node.value)}" at the top level: begin with $states or a variable`]
  if (node.type === 'wildcard' || node.type === 'descendant') return ['a wildcard at the top level has no input']
  if (node.type === 'variable' && (node.value === '' || node.value === '$')) {
    return [`$${String(node.value)} at the top level has no input: begin with $states or a variable`]
  }
  return (inherited[node.type] ?? []).flatMap((field) => nodesIn(node[field]).flatMap(topLevelProblems))
}

function nodesIn(value: unknown): Node[] {
  if (Array.isArray(value)) return value.flatMap(nodesIn)
  return isNode(value) ? [value] : []
}

function nameProblems(root: Node, variables: ReadonlySet<string>): string[] {
  const bound = new Set<unknown>(['', '$', 'states'])
  const used: string[] = []
  visit(root, (node) => {
    if (node.type === 'bind') bound.add((node.lhs as Node).value)
    if (node.type === 'lambda') for (const argument of node.arguments as Node[]) bound.add(argument.value)
    bound.add(node.focus).add(node.index)
    if (node.type === 'variable') used.push(String(node.value))
  })
  return used
    .filter((name) => !bound.has(name) && !variables.has(name) && !functionNames.has(name))
    .map((name) => `$${name} is neither assigned before nor a function of Step Functions' JSONata`)
}

/** The parser turns newer operators into conditions that have one operand of the source in two places. */
function newerProblems(root: Node): string[] {
  const problems: string[] = []
  visit(root, (node) => {
    if (node.type !== 'condition') return
    const condition = node.condition as Node
    if (sameSource(condition, node.then)) problems.push('operator ?: is newer than JSONata 2.0.6')
    if (Array.isArray(condition.arguments) && sameSource(condition.arguments[0], node.then)) {
      problems.push('operator ?? is newer than JSONata 2.0.6')
    }
  })
  return problems
}

/** Nodes carry their position in the source. */
const sameSource = (one: unknown, other: unknown): boolean => JSON.stringify(one) === JSON.stringify(other)

function visit(value: unknown, see: (node: Node) => void): void {
  if (Array.isArray(value)) for (const item of value) visit(item, see)
  else if (typeof value === 'object' && value !== null && !(value instanceof RegExp)) {
    if (isNode(value)) see(value)
    for (const part of Object.values(value)) visit(part, see)
  }
}
