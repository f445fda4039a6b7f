import { generateKeyPair, randomBytes } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Guardian } from './guardian.ts'
import { answers } from './http-probe.ts'
import { startOnFreePorts } from './on-free-ports.ts'
import { Process } from './process.ts'

export interface ApiServerOptions {
  readonly binary: string
  readonly guardian: Guardian
  /** Of etcd. */
  readonly etcdUrl: string
  /** Whether every request is written down, without its content. */
  readonly audit: boolean
}

export interface ApiServer {
  readonly process: Process
  readonly url: string
  /** PEM of the certificate that clients have to trust: it signs itself. */
  readonly ca: string
  /** Bearer tokens, drawn by lot for each cluster. */
  readonly tokens: Readonly<Record<User, string>>
  /** File with a line (audit.k8s.io/v1 Event) for each request, where that was asked for. */
  readonly auditLog: string
}

/** `admin` may do everything; `lockstep` is in all groups of Lockstep, and may do what the cluster grants to them. */
export type User = 'admin' | 'lockstep'

const groups: Readonly<Record<User, string>> = {
  admin: 'system:masters',
  lockstep: 'lockstep,lockstep-locks,lockstep-unlock',
}

/** What needs controllers, Secrets or nodes that these clusters do not have. */
const pluginsWithoutUse = [
  ...['ServiceAccount', 'TaintNodesByCondition', 'Priority', 'RuntimeClass', 'DefaultTolerationSeconds'],
  ...['DefaultStorageClass', 'StorageObjectInUseProtection', 'PersistentVolumeClaimResize', 'CertificateApproval'],
  ...['CertificateSigning', 'CertificateSubjectRestriction', 'DefaultIngressClass', 'PodSecurity'],
  ...['ClusterTrustBundleAttest'],
]

/** Ready to be used, by tokens, with RBAC. Throws what `Process.start` throws. */
export async function startApiServer({ binary, guardian, etcdUrl, audit }: ApiServerOptions): Promise<ApiServer> {
  const directory = join(guardian.directory, 'kube-apiserver')
  await mkdir(directory)
  const tokens = { admin: randomToken(), lockstep: randomToken() }
  const files = await writeCredentials(directory, tokens)
  const auditLog = join(guardian.directory, 'audit.log')
  const auditPolicy = join(directory, 'audit-policy.json')
  await writeFile(auditPolicy, JSON.stringify(everyRequest))
  const { process, ports } = await startOnFreePorts(
    1,
    ([port]) =>
      new Process({
        name: 'kube-apiserver',
        guardian,
        log: join(guardian.directory, 'kube-apiserver.log'),
        env: {},
        command: [
          binary,
          `--etcd-servers=${etcdUrl}`,
          '--bind-address=127.0.0.1',
          '--advertise-address=127.0.0.1',
          `--secure-port=${port}`,
          `--cert-dir=${directory}`,
          `--token-auth-file=${files.tokens}`,
          '--authorization-mode=RBAC',
          '--anonymous-auth=false',
          '--service-account-issuer=https://kubernetes.default.svc',
          `--service-account-key-file=${files.publicKey}`,
          `--service-account-signing-key-file=${files.privateKey}`,
          '--service-cluster-ip-range=10.0.0.0/24',
          '--endpoint-reconciler-type=none',
          '--enable-priority-and-fairness=false',
          '--profiling=false',
          `--disable-admission-plugins=${pluginsWithoutUse.join(',')}`,
          ...(audit ? [`--audit-policy-file=${auditPolicy}`, `--audit-log-path=${auditLog}`] : []),
        ],
        ready: () => answers(`https://127.0.0.1:${port}/readyz`, { token: tokens.admin }),
      }),
  )
  const ca = await readFile(join(directory, 'apiserver.crt'), 'utf8')
  return { process, url: `https://127.0.0.1:${ports[0]}`, ca, tokens, auditLog }
}

const everyRequest = {
  ...{ apiVersion: 'audit.k8s.io/v1', kind: 'Policy', omitStages: ['RequestReceived', 'ResponseStarted'] },
  rules: [{ level: 'Metadata' }],
}

const randomToken = () => randomBytes(24).toString('hex')

/** The token file is `token,user,uid,"groups"` a line. */
async function writeCredentials(directory: string, tokens: Readonly<Record<User, string>>) {
  const keys = await promisify(generateKeyPair)('rsa', { modulusLength: 2048 })
  const users = (Object.keys(groups) as User[]).map((user) => `${tokens[user]},${user},${user},"${groups[user]}"\n`)
  const write = async (name: string, text: string) => {
    const file = join(directory, name)
    await writeFile(file, text, { mode: 0o600 })
    return file
  }
  return {
    tokens: await write('tokens.csv', users.join('')),
    publicKey: await write('sa.pub', keys.publicKey.export({ type: 'spki', format: 'pem' }).toString()),
    privateKey: await write('sa.key', keys.privateKey.export({ type: 'pkcs1', format: 'pem' }).toString()),
  }
}
