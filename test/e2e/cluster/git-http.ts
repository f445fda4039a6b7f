import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { LockstepError } from '../../../functions/lib/errors.ts'
import type { Guardian } from './guardian.ts'

export interface Change {
  /** Content by path: new files and those that change. */
  readonly files?: Readonly<Record<string, string>>
  /** Paths of files and directories. */
  readonly remove?: readonly string[]
  /** Default: says that the harness made it. */
  readonly message?: string
}

/** A branch that has moved, whoever moved it. */
export interface GitPush {
  /** Such as `my-org/fleet-infra`. */
  readonly repository: string
  readonly branch: string
  /** Undefined for a new branch. */
  readonly before: string | undefined
  readonly after: string
}

/** A Git server over smart HTTP, for anybody on this machine to fetch from and to push to. */
export interface GitHttpServer {
  /** Base URL. */
  readonly url: string
  /** An empty repository, such as `my-org/fleet-infra`. Answers its URL. Throws GitFailed. */
  createRepository(name: string): Promise<string>
  /** Commits on top of a branch, which begins with the first one. Answers the commit's SHA. Throws GitFailed. */
  commit(repository: string, branch: string, change: Change): Promise<string>
  /** SHA of a branch's last commit; undefined where there is none. */
  head(repository: string, branch: string): Promise<string | undefined>
  /** Calls `listener` after every push over HTTP and every `commit`, until the server closes. */
  onPush(listener: (push: GitPush) => void): void
  close(): Promise<void>
}

/** git is missing, or refuses. */
export class GitFailed extends LockstepError {
  constructor(what: string, complaint: string) {
    super(
      'GitFailed',
      `git ${what} failed: ${complaint.trim() || 'it does not say why'}.`,
      'See whether git works here.',
    )
  }
}

const author = 'Lockstep <lockstep@example.com>'

/** Serves repositories below the guardian's directory on a free port. */
export async function startGitServer(guardian: Guardian): Promise<GitHttpServer> {
  const root = join(guardian.directory, 'git')
  await mkdir(root)
  const env = {
    PATH: process.env.PATH ?? '',
    HOME: root,
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_PROJECT_ROOT: root,
    GIT_HTTP_EXPORT_ALL: '1',
    ...guardian.env,
  }
  const git = (args: readonly string[], input = '') => run(args, { env, input })
  const directoryOf = (repository: string) => join(root, `${repository}.git`)
  const heads = async (repository: string): Promise<Map<string, string>> => {
    const format = '--format=%(refname:lstrip=2) %(objectname)'
    const lines = (await git(['-C', directoryOf(repository), 'for-each-ref', format, ref('')])).trim().split('\n')
    return new Map(lines.filter((line) => line !== '').map((line) => line.split(' ') as [string, string]))
  }
  const listeners = new Set<(push: GitPush) => void>()
  const tell = (push: GitPush) => {
    for (const listener of listeners) listener(push)
  }
  const servePush = async (repository: string, request: IncomingMessage, response: ServerResponse) => {
    const before = await heads(repository)
    await serve(request, response, env)
    for (const [branch, after] of await heads(repository)) {
      if (after !== before.get(branch)) tell({ repository, branch, before: before.get(branch), after })
    }
  }

  const server = createServer((request, response) => {
    const repository = /^\/(.+)\.git\/git-receive-pack$/.exec(request.url ?? '')?.[1]
    const served = repository === undefined ? serve(request, response, env) : servePush(repository, request, response)
    served.catch(() => fail(response))
  })
  const listening = once(server, 'listening')
  server.listen(0, '127.0.0.1')
  await listening
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    url,
    head: async (repository, branch) => (await heads(repository)).get(branch),
    onPush: (listener) => void listeners.add(listener),
    createRepository: async (name) => {
      await git(['init', '--quiet', '--bare', '--initial-branch=main', directoryOf(name)])
      await git(['-C', directoryOf(name), 'config', 'http.receivepack', 'true'])
      return `${url}/${name}.git`
    },
    commit: async (repository, branch, change) => {
      const before = (await heads(repository)).get(branch)
      const stream = importStream(branch, before, change)
      const after = (await git(['-C', directoryOf(repository), 'fast-import', '--quiet', '--done'], stream)).trim()
      tell({ repository, branch, before, after })
      return after
    },
    close: async () => {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

const ref = (branch: string) => `refs/heads/${branch}`

/** What `git fast-import` reads: one commit, whose SHA it prints. */
function importStream(
  branch: string,
  parent: string | undefined,
  { files = {}, remove = [], message }: Change,
): string {
  const data = (content: string) => `data ${Buffer.byteLength(content)}\n${content}\n`
  return [
    `commit ${ref(branch)}\nmark :1\n`,
    `committer ${author} ${Math.floor(Date.now() / 1000)} +0000\n`,
    data(message ?? 'A change by the harness'),
    parent === undefined ? '' : `from ${parent}\n`,
    ...remove.map((path) => `D ${JSON.stringify(path)}\n`),
    ...Object.entries(files).map(([path, content]) => `M 100644 inline ${JSON.stringify(path)}\n${data(content)}`),
    'get-mark :1\ndone\n',
  ].join('')
}

interface RunOptions {
  readonly env: Readonly<Record<string, string>>
  readonly input: string
}

async function run(args: readonly string[], { env, input }: RunOptions): Promise<string> {
  const child = spawn('git', args, { env, stdio: ['pipe', 'pipe', 'pipe'] })
  const what = args.find((each) => /^[a-z]/.test(each)) ?? ''
  try {
    const exit = once(child, 'exit')
    // Where git ends before it has read everything, its exit code says so.
    child.stdin.on('error', () => {}).end(input)
    const [output, complaint, [code]] = await Promise.all([text(child.stdout), text(child.stderr), exit])
    if (code !== 0) throw new GitFailed(what, complaint)
    return output
  } catch (error) {
    if (error instanceof GitFailed) throw error
    throw new GitFailed(what, error instanceof Error ? error.message : String(error))
  }
}

/**
 * https://git-scm.com/docs/git-http-backend, which is a CGI program (RFC 3875). Rejects where the program fails or the
 * client goes away.
 */
async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  env: Readonly<Record<string, string>>,
): Promise<void> {
  const { pathname, search } = new URL(request.url ?? '/', 'http://localhost')
  const { headers, method = 'GET' } = request
  const backend = spawn('git', ['http-backend'], {
    stdio: ['pipe', 'pipe', 'ignore'],
    env: {
      ...env,
      REQUEST_METHOD: method,
      PATH_INFO: decodeURIComponent(pathname),
      QUERY_STRING: search.slice(1),
      CONTENT_TYPE: headers['content-type'] ?? '',
      ...(headers['content-length'] !== undefined && { CONTENT_LENGTH: headers['content-length'] }),
      ...(headers['content-encoding'] !== undefined && { HTTP_CONTENT_ENCODING: headers['content-encoding'] }),
      GIT_PROTOCOL: headers['git-protocol']?.toString() ?? '',
      REMOTE_ADDR: '127.0.0.1',
    },
  })
  const exit = once(backend, 'exit')
  request.pipe(backend.stdin).on('error', () => {})
  response.on('close', () => end(backend))
  await Promise.all([answer(backend.stdout, response), exit])
}

/** Header lines, an empty line, the body. The status is a header line. */
async function answer(output: Readable, response: ServerResponse): Promise<void> {
  let head: Buffer | undefined = Buffer.alloc(0)
  for await (const chunk of output) {
    if (head === undefined) {
      if (!response.write(chunk)) await once(response, 'drain')
      continue
    }
    head = Buffer.concat([head, chunk])
    const end = head.indexOf('\r\n\r\n')
    if (end < 0) continue
    const lines = head.subarray(0, end).toString('latin1').split('\r\n')
    for (const line of lines) {
      const [name = '', value = ''] = line.split(/:\s*/, 2)
      if (name.toLowerCase() === 'status') response.statusCode = Number.parseInt(value, 10)
      else response.setHeader(name, value)
    }
    response.write(head.subarray(end + 4))
    head = undefined
  }
  if (head !== undefined) throw new Error('git http-backend gave no answer')
  response.end()
}

function fail(response: ServerResponse): void {
  if (response.headersSent) return void response.destroy()
  response.writeHead(500, { 'content-type': 'text/plain' }).end('git http-backend failed.\n')
}

function end(backend: ChildProcess): void {
  if (backend.exitCode === null) backend.kill('SIGKILL')
}
