/**
 * The commit or digest inside a Flux revision: `main@sha1:<hex>`, `sha1:<hex>`, `latest@sha256:<hex>`, and the
 * older `main/<hex>`. Undefined for anything else, such as a chart version.
 * Source: fluxcd/pkg apis/meta, "TransformLegacyRevision", and RFC 0005.
 */
export function commitOf(revision: string | undefined): string | undefined {
  const match = /(?:^|[@/:])([0-9a-f]{40}|[0-9a-f]{64})$/.exec(revision ?? '')
  return match?.[1]
}

/** A commit as people read it. */
export function shortCommit(commit: string): string {
  return commit.slice(0, 8)
}
