import { createAppAuth } from '@octokit/auth-app'
import { request } from '@octokit/request'
import * as z from 'zod'
import type { Clock } from '../clock.ts'
import { LockstepError } from '../errors.ts'
import type { CommitStatus, CommitStatuses, StatusCommit } from './commit-status.ts'
import { NotifierRefused, NotifierUnavailable } from './notifier-error.ts'
import { patientFetch } from './patient-fetch.ts'

const id = z.union([z.int().positive(), z.string().regex(/^\d+$/)]).transform(Number)

/**
 * The secret: `{"appId": …, "installationId": …, "privateKey": "-----BEGIN …"}` of a GitHub App, or `{"token": …}`. Either may write
 * commit statuses, and needs nothing else.
 */
export const gitHubSecretSchema = z.union([
  z.object({ appId: id, installationId: id, privateKey: z.string().includes('PRIVATE KEY') }),
  z.object({ token: z.string().min(1) }),
])
export type GitHubSecret = z.output<typeof gitHubSecretSchema>

export interface GitHubOptions {
  readonly secret: () => Promise<GitHubSecret>
  readonly clock: Clock
  /** Of a host. Default: https://api.github.com, and https://<host>/api/v3 of a GitHub Enterprise Server. */
  readonly apiUrl?: (host: string) => string
}

/** The version of the API that this is written for. */
const apiVersion = '2022-11-28'

type Request = typeof request

/** Statuses of commits at GitHub. The tokens of an App's installation are kept while they are good. */
export class GitHubStatuses implements CommitStatuses {
  private readonly options: GitHubOptions
  private readonly clients = new Map<string, Request>()
  private giveUpAt = 0

  constructor(options: GitHubOptions) {
    this.options = options
  }

  async set(commit: StatusCommit, context: string, status: CommitStatus, giveUpAt: number): Promise<void> {
    // One event at a time in a Lambda: its time is that of all that it sends.
    this.giveUpAt = giveUpAt
    const client = this.client(commit.host, await this.options.secret())
    const [owner = '', repo = ''] = commit.repository.split('/')
    const { state, description, url } = status
    try {
      await client('POST /repos/{owner}/{repo}/statuses/{sha}', {
        ...{ owner, repo, sha: commit.sha, context, state, description },
        ...(url !== undefined && { target_url: url }),
      })
    } catch (error) {
      throw failure(error, commit)
    }
  }

  /** Another secret makes another client: it is rotated while the function is warm. */
  private client(host: string, secret: GitHubSecret): Request {
    const key = JSON.stringify([host, secret])
    const known = this.clients.get(key)
    if (known) return known
    const { clock, apiUrl = apiUrlOf } = this.options
    const base = request.defaults({
      baseUrl: apiUrl(host),
      headers: { 'x-github-api-version': apiVersion, 'user-agent': 'lockstep' },
      request: { fetch: patientFetch({ clock, channel: 'GitHub', giveUpAt: () => this.giveUpAt }) },
    })
    const client = authorized(base, secret)
    this.clients.clear()
    this.clients.set(key, client)
    return client
  }
}

function authorized(base: Request, secret: GitHubSecret): Request {
  if ('token' in secret) return base.defaults({ headers: { authorization: `token ${secret.token}` } })
  const { appId, installationId, privateKey } = secret
  // The library's warnings would go to the console.
  const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }
  const auth = createAppAuth({ appId, installationId, privateKey, request: base, log: silent })
  return base.defaults({ request: { hook: auth.hook } })
}

function apiUrlOf(host: string): string {
  return host === 'github.com' ? 'https://api.github.com' : `https://${host}/api/v3`
}

/** Nothing of what the library says is passed on: it quotes requests, with their headers. */
function failure(error: unknown, { repository, sha }: StatusCommit): LockstepError {
  // The library wraps what `fetch` rejects with.
  for (let cause = error; cause instanceof Error; cause = cause.cause) if (cause instanceof LockstepError) return cause
  const status = error instanceof Error && 'status' in error && Number(error.status)
  if (!status) return new NotifierUnavailable('GitHub', error instanceof Error ? error.name : 'unknown error')
  const next: Record<number, string> = {
    401: 'Check the secret of notifications.github in the fleet: it is not, or not any more, good.',
    403: 'Give the App or the token the right to write commit statuses.',
    404: `Give the App or the token access to ${repository}, with the right to write commit statuses.`,
    422: `See that ${sha} is still in ${repository}.`,
  }
  return new NotifierRefused('GitHub', `status ${status}`, next[status] ?? 'See what GitHub says of it.')
}
