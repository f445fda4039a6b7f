import { repositoryOf } from '../../../functions/lib/flux/source.ts'
import type { KubernetesObject } from '../kubernetes/object-store.ts'

/** Path of a YAML file -> its documents. Documents are shared between commits and never changed in place. */
export type Tree = ReadonlyMap<string, readonly object[]>

/** What a commit changes in its parent's tree. */
export interface TreeChange {
  /** Path -> the file's new documents. */
  readonly write?: Readonly<Record<string, readonly (object | KubernetesObject)[]>>
  readonly remove?: readonly string[]
}

export interface Commit {
  readonly sha: string
  readonly tree: Tree
}

/** Git repositories as controllers see them: by URL, a branch has a head, and a commit has a tree. */
export class GitServer {
  private readonly commits = new Map<string, Map<string, Commit>>()
  private readonly branches = new Map<string, Map<string, Commit>>()

  /**
   * Puts a commit at the head of a branch, creating repository and branch as needed. A change applies to the tree of
   * the branch's head (the empty tree on a new branch). A known sha moves the branch back or forth to that commit.
   */
  commit(url: string, branch: string, sha: string, content: Tree | TreeChange = {}): void {
    const repository = normalise(url)
    const commits = upsert(this.commits, repository)
    const branches = upsert(this.branches, repository)
    const commit = commits.get(sha) ?? { sha, tree: treeOf(content, branches.get(branch)?.tree ?? new Map()) }
    commits.set(sha, commit)
    branches.set(branch, commit)
  }

  /** The head of a branch, or undefined when repository or branch do not exist. */
  head(url: string, branch: string): Commit | undefined {
    return this.branches.get(normalise(url))?.get(branch)
  }

  /** A commit of a repository, whatever branch it is on. */
  find(url: string, sha: string): Commit | undefined {
    return this.commits.get(normalise(url))?.get(sha)
  }

  has(url: string): boolean {
    return this.commits.has(normalise(url))
  }
}

function normalise(url: string): string {
  return repositoryOf(url) ?? url
}

function treeOf(content: Tree | TreeChange, parent: Tree): Tree {
  if (content instanceof Map) return content
  const { write = {}, remove = [] } = content as TreeChange
  const tree = new Map(parent)
  for (const path of remove) tree.delete(path)
  for (const [path, documents] of Object.entries(write)) tree.set(path, documents)
  return tree
}

function upsert<T>(maps: Map<string, Map<string, T>>, key: string): Map<string, T> {
  const found = maps.get(key)
  if (found) return found
  const created = new Map<string, T>()
  maps.set(key, created)
  return created
}
