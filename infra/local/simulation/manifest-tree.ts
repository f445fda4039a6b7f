import { readdir, readFile } from 'node:fs/promises'
import { join, posix, relative, sep } from 'node:path'
import { parseAllDocuments } from 'yaml'
import * as z from 'zod'
import { LockstepError } from '../../../functions/lib/errors.ts'
import type { KubernetesObject } from '../kubernetes/object-store.ts'
import type { Tree } from './git-server.ts'

export interface ManifestProblem {
  /** Path of the file, relative to the directory that was read. */
  readonly file: string
  /** Number of the document in its file, from 1. */
  readonly document: number
  readonly message: string
}

/** YAML documents that do not parse: all of a directory's, not just the first. */
export class ManifestsUnreadable extends LockstepError {
  readonly problems: readonly ManifestProblem[]

  constructor(directory: string, problems: readonly ManifestProblem[]) {
    const list = problems.map(({ file, document, message }) => `${file}, document ${document}: ${message}`)
    super(
      'ManifestsUnreadable',
      `${problems.length} YAML document(s) in ${directory} do not parse:\n${list.join('\n')}\n`,
      'Correct them and try again.',
    )
    this.problems = problems
  }
}

const skippedDirectories = new Set(['.git', 'node_modules'])

/**
 * Reads every .yaml and .yml file below `directory`. Templates of Helm charts (a `templates` directory beside a
 * Chart.yaml) are not YAML and are left out. Throws ManifestsUnreadable.
 */
export async function readManifestTree(directory: string): Promise<Tree> {
  const tree = new Map<string, readonly object[]>()
  const problems: ManifestProblem[] = []
  for (const file of await yamlFiles(directory)) {
    const path = relative(directory, file).split(sep).join('/')
    const parsed = parseManifests(path, await readFile(file, 'utf8'))
    problems.push(...parsed.problems)
    tree.set(path, parsed.documents)
  }
  if (problems.length > 0) throw new ManifestsUnreadable(directory, problems)
  return tree
}

/** Parses a multi-document YAML file. Empty documents and such that are no maps are left out. */
export function parseManifests(file: string, text: string): { documents: object[]; problems: ManifestProblem[] } {
  const documents: object[] = []
  const problems: ManifestProblem[] = []
  const parsed = parseAllDocuments(text)
  if (!Array.isArray(parsed)) return { documents, problems }
  for (const [index, document] of parsed.entries()) {
    const error = document.errors[0]
    if (error) {
      problems.push({ file, document: index + 1, message: firstLine(error.message) })
      continue
    }
    try {
      const value: unknown = document.toJS({ maxAliasCount: 100 })
      if (typeof value === 'object' && value !== null && !Array.isArray(value)) documents.push(value)
    } catch (error) {
      problems.push({ file, document: index + 1, message: error instanceof Error ? error.message : String(error) })
    }
  }
  return { documents, problems }
}

/** What a path of a tree applies: objects in the order of their files, or why it cannot be built. */
export interface Selection {
  readonly objects: readonly KubernetesObject[]
  readonly problems: readonly string[]
}

/** Whether there is anything at a Kustomization's spec.path. */
export function hasPath(tree: Tree, path: string): boolean {
  const directory = normalise(path)
  return directory === '' || filesBelow(tree, directory).length > 0
}

const selections = new WeakMap<Tree, Map<string, Selection>>()

/**
 * The objects that a Kustomization at `path` applies: what its kustomization.yaml lists, through directories and
 * `../base`; or, where there is none, all manifests below, as kustomize-controller generates it. Patches and
 * generators are not built; `namespace` is applied. The answer is shared: do not change the objects.
 */
export function selectObjects(tree: Tree, path: string): Selection {
  const directory = normalise(path)
  const known = selections.get(tree) ?? new Map<string, Selection>()
  selections.set(tree, known)
  const found = known.get(directory)
  if (found) return found
  const selection = select(tree, directory)
  known.set(directory, selection)
  return selection
}

function select(tree: Tree, directory: string): Selection {
  const problems: string[] = []
  const selector = new Selector(tree, problems)
  const objects = selector.path(directory)
  const seen = new Set<string>()
  for (const { apiVersion, kind, metadata } of objects) {
    const id = `${apiVersion.split('/').slice(0, -1)} ${kind} ${metadata.namespace ?? ''}/${metadata.name}`
    if (seen.has(id)) problems.push(`may not add resource with an already registered id: ${id.trim()}`)
    seen.add(id)
  }
  return { objects, problems }
}

const kustomizeConfigSchema = z.looseObject({
  resources: z.array(z.string()).default([]),
  components: z.array(z.string()).default([]),
  namespace: z.string().optional(),
})

const manifestSchema = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({ name: z.string(), namespace: z.string().optional() }),
})

const clusterScoped = new Set([
  'Namespace',
  'CustomResourceDefinition',
  'ClusterRole',
  'ClusterRoleBinding',
  'StorageClass',
])

class Selector {
  private readonly tree: Tree
  private readonly problems: string[]
  private readonly open = new Set<string>()

  constructor(tree: Tree, problems: string[]) {
    this.tree = tree
    this.problems = problems
  }

  /** A Kustomization's spec.path: with or without a kustomization.yaml. */
  path(directory: string): KubernetesObject[] {
    if (this.config(directory)) return this.directory(directory)
    const files = filesBelow(this.tree, directory)
    if (files.length === 0) {
      this.problems.push(`kustomization path not found: no manifests in ${directory || '.'}`)
      return []
    }
    // A directory further down that has its own kustomization.yaml is built by that, not file by file.
    const built = [...new Set(files.map(posix.dirname))].filter((below) => this.config(undot(below))).map(undot)
    const roots = built.filter((below) => !built.some((other) => other !== below && isBelow(below, other)))
    const plain = files.filter((file) => !roots.some((root) => isBelow(undot(posix.dirname(file)), root)))
    return [...plain.flatMap((file) => this.file(file)), ...roots.flatMap((root) => this.directory(root))]
  }

  private directory(directory: string): KubernetesObject[] {
    const config = this.config(directory)
    if (!config) {
      this.problems.push(`unable to find a kustomization.yaml in ${directory || '.'}`)
      return []
    }
    if (this.open.has(directory)) {
      this.problems.push(`cycle: ${[...this.open, directory].join(' -> ')}`)
      return []
    }
    this.open.add(directory)
    const objects = [...config.resources, ...config.components].flatMap((entry) => this.entry(directory, entry))
    this.open.delete(directory)
    const { namespace } = config
    return namespace === undefined ? objects : objects.map((object) => inNamespace(object, namespace))
  }

  private entry(directory: string, entry: string): KubernetesObject[] {
    // A remote base is fetched by the real controller; the simulation has no network.
    if (/^[a-z]+:\/\/|^git@|^github\.com\//.test(entry)) return []
    const path = normalise(posix.join(directory, entry))
    if (path.startsWith('..')) {
      this.problems.push(`${entry} in ${directory || '.'} points outside of the repository`)
      return []
    }
    if (this.tree.has(path)) return this.file(path)
    if (filesBelow(this.tree, path).length > 0) return this.directory(path)
    this.problems.push(`${directory || '.'}/kustomization.yaml: ${entry} does not exist`)
    return []
  }

  private file(path: string): KubernetesObject[] {
    return (this.tree.get(path) ?? []).filter(isManifest)
  }

  private config(directory: string): z.infer<typeof kustomizeConfigSchema> | undefined {
    for (const name of ['kustomization.yaml', 'kustomization.yml']) {
      const documents = this.tree.get(posix.join(directory, name))
      const document = documents?.find((candidate) => isKustomizeConfig(candidate))
      if (!document) continue
      const parsed = kustomizeConfigSchema.safeParse(document)
      if (parsed.success) return parsed.data
      this.problems.push(`${posix.join(directory, name)}: ${z.prettifyError(parsed.error)}`)
      return { resources: [], components: [] }
    }
    return undefined
  }
}

/** kustomize lets its own file leave out apiVersion and kind. */
function isKustomizeConfig(document: object): boolean {
  const { apiVersion, kind } = document as { apiVersion?: unknown; kind?: unknown }
  if (apiVersion === undefined && kind === undefined) return true
  return typeof apiVersion === 'string' && apiVersion.startsWith('kustomize.config.k8s.io/')
}

function isManifest(document: object): document is KubernetesObject {
  return manifestSchema.safeParse(document).success && !isKustomizeConfig(document)
}

function inNamespace(object: KubernetesObject, namespace: string): KubernetesObject {
  if (clusterScoped.has(object.kind)) return object
  return { ...object, metadata: { ...object.metadata, namespace } }
}

/** Directory ('' is the root) -> the files at any depth below it, in order. */
const indexes = new WeakMap<Tree, Map<string, string[]>>()

function filesBelow(tree: Tree, directory: string): readonly string[] {
  const known = indexes.get(tree) ?? indexOf(tree)
  indexes.set(tree, known)
  return known.get(directory) ?? []
}

function indexOf(tree: Tree): Map<string, string[]> {
  const index = new Map<string, string[]>()
  for (const path of [...tree.keys()].sort()) {
    const parts = path.split('/')
    for (let depth = 0; depth < parts.length; depth++) {
      const directory = parts.slice(0, depth).join('/')
      const files = index.get(directory)
      if (files) files.push(path)
      else index.set(directory, [path])
    }
  }
  return index
}

function normalise(path: string): string {
  return undot(posix.normalize(path).replace(/^\/+|\/+$/g, ''))
}

function undot(path: string): string {
  return path === '.' ? '' : path
}

function isBelow(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory}/`)
}

async function yamlFiles(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { withFileTypes: true })
  const isChart = entries.some((entry) => entry.name === 'Chart.yaml')
  const files: string[] = []
  for (const entry of entries) {
    const path = join(directory, entry.name)
    if (entry.isDirectory() && !skippedDirectories.has(entry.name) && !(isChart && entry.name === 'templates')) {
      files.push(...(await yamlFiles(path)))
    }
    if (entry.isFile() && /\.ya?ml$/.test(entry.name)) files.push(path)
  }
  return files.sort()
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? text
}
