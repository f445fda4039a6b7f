import type { GitServer, Tree } from './git-server.ts'

/** What `flux push artifact` stores under a tag. */
export interface PublishedArtifact {
  /** `sha256:<64 hex>` of the manifest. */
  readonly digest: string
  /** The Git revision that it was built from, `main@sha1:<40 hex>`. */
  readonly originRevision: string
  /** URL of the Git repository that it was built from. */
  readonly originSource: string
  /** Version, when the artifact is a Helm chart. */
  readonly chartVersion?: string
}

/** OCI artifacts by URL and tag. Their content is the tree of the commit that they were built from. */
export class OciRegistry {
  private readonly git: GitServer
  private readonly tags = new Map<string, PublishedArtifact>()

  constructor(git: GitServer) {
    this.git = git
  }

  publish(url: string, tag: string, artifact: PublishedArtifact): void {
    this.tags.set(`${url}:${tag}`, artifact)
  }

  resolve(url: string, tag: string): PublishedArtifact | undefined {
    return this.tags.get(`${url}:${tag}`)
  }

  content(artifact: { originSource: string; originRevision: string }): Tree | undefined {
    const sha = artifact.originRevision.split(':').at(-1) ?? ''
    return this.git.find(artifact.originSource, sha)?.tree
  }
}
