import { describe, expect, it } from 'vitest'
import { ClusterError } from '../../../functions/lib/kubernetes/cluster.ts'
import { backendOf, type ReadConfiguration } from '../../../functions/lib/locks/backends/object-backend.ts'

const nothing: ReadConfiguration = async () => undefined
const terraform = (spec: object) => ({ metadata: { namespace: 'infra', name: 'vpc' }, spec })
const backend = (spec: object, read = nothing, region?: string) => backendOf(terraform(spec), read, region)
const custom = (customConfiguration: string, spec: object = {}, read = nothing, region?: string) =>
  backend({ backendConfig: { customConfiguration }, ...spec }, read, region)

const kubernetes = { type: 'kubernetes', namespace: 'infra', suffix: 'vpc', workspace: 'default' }
const written = { bucket: 'tfst', key: 'vpc/terraform.tfstate', region: 'eu-west-1' }
const s3 = { type: 's3', ...written, workspace: 'default', workspaceKeyPrefix: 'env:', lockfile: false }
const block = (more = '') => `backend "s3" {
  bucket = "tfst"
  key    = "vpc/terraform.tfstate"
  region = "eu-west-1"
  ${more}
}`

/** Reads from these objects, `Secret/infra/backend`; asking for any other one is a failure of the test. */
const reads =
  (objects: Record<string, Record<string, string> | Error | undefined>): ReadConfiguration =>
  async ({ kind, namespace, name }) => {
    const key = `${kind}/${namespace}/${name}`
    if (!Object.hasOwn(objects, key)) throw new Error(`${key} was read`)
    const found = objects[key]
    if (found instanceof Error) throw found
    return found
  }

describe('without a configuration of its own', () => {
  it('it is Kubernetes by the object’s name', async () => {
    expect(await backend({})).toEqual(kubernetes)
    expect(await backend({ workspace: 'blue' })).toEqual({ ...kubernetes, workspace: 'blue' })
  })

  it('it is Kubernetes by the suffix', async () => {
    const backendConfig = { secretSuffix: 'net', inClusterConfig: true, labels: { a: 'b' } }
    expect(await backend({ backendConfig })).toEqual({ ...kubernetes, suffix: 'net' })
    expect(await backend({ backendConfig: { secretSuffix: 'net', disable: false } })).toMatchObject({ suffix: 'net' })
  })

  it('a suffix that is missing beside a backendConfig is not filled in', async () => {
    const why = 'secret_suffix is not given'
    expect(await backend({ backendConfig: { inClusterConfig: true } })).toEqual({ type: 'unreadable', why })
  })

  it('disabled is unlocked, and a cloud is somebody else’s', async () => {
    expect(await backend({ backendConfig: { disable: true, secretSuffix: 'x' } })).toMatchObject({ type: 'unlocked' })
    expect(await backend({ cloud: { organization: 'o' } })).toMatchObject({ type: 'unsupported', name: 'cloud' })
  })
})

describe('S3', () => {
  it.each([
    ['a lock file', 'use_lockfile = true', { lockfile: true }],
    ['a lock table', 'dynamodb_table = "locks"', { table: 'locks' }],
    ['both', 'use_lockfile = "true"\n dynamodb_table = "locks"', { table: 'locks', lockfile: true }],
    ['a prefix', 'use_lockfile = true\n workspace_key_prefix = "ws"', { lockfile: true, workspaceKeyPrefix: 'ws' }],
    ['no prefix', 'use_lockfile = true\n workspace_key_prefix = ""', { lockfile: true, workspaceKeyPrefix: '' }],
    ['a null', 'use_lockfile = true\n dynamodb_table = null', { lockfile: true }],
    [
      'endpoints',
      'use_lockfile = true\n endpoints = { s3 = "http://a", dynamodb = "http://b", sts = "http://c" }',
      { lockfile: true, endpoints: { s3: 'http://a', dynamodb: 'http://b' } },
    ],
    [
      'the older endpoints',
      'use_lockfile = true\n endpoint = "http://a"\n dynamodb_endpoint = "http://b"',
      { lockfile: true, endpoints: { s3: 'http://a', dynamodb: 'http://b' } },
    ],
    [
      'a role and secrets, which do not come along',
      'use_lockfile = true\n secret_key = "hunter2"\n assume_role = { role_arn = "arn:aws:iam::1:role/x" }\n max_retries = 1',
      { lockfile: true },
    ],
  ])('with %s', async (_, more, expected) => {
    expect(await custom(block(more))).toEqual({ ...s3, ...expected })
  })

  it('in a workspace', async () => {
    const blue = await custom(block('use_lockfile = true'), { workspace: 'blue' })
    expect(blue).toEqual({ ...s3, lockfile: true, workspace: 'blue' })
  })

  it('is unlocked with neither', async () => {
    expect(await custom(block())).toMatchObject({ type: 'unlocked', why: expect.stringContaining('use_lockfile') })
    expect(await custom(block('use_lockfile = false\n dynamodb_table = ""'))).toMatchObject({ type: 'unlocked' })
  })

  it('takes its region from the runner, then from the cluster', async () => {
    const text = block('use_lockfile = true').replace('region = "eu-west-1"', '')
    const runner = (env: object[]) => ({ runnerPodTemplate: { spec: { env } } })
    const other = { name: 'AWS_DEFAULT_REGION', value: 'us-west-2' }
    const both = runner([other, { name: 'AWS_REGION', value: 'us-east-2' }])
    expect(await custom(text, both, nothing, 'us-east-1')).toMatchObject({ region: 'us-east-2' })
    expect(await custom(text, runner([other]), nothing, 'us-east-1')).toMatchObject({ region: 'us-west-2' })
    expect(await custom(text, runner([{ name: 'X' }]), nothing, 'us-east-1')).toMatchObject({ region: 'us-east-1' })
    expect(await custom(text)).toEqual({ type: 'unreadable', why: 'no region is given' })
  })

  it('may stand among other settings', async () => {
    const text = `required_version = ">= 1.9"\n encryption { method = method.a.b }\n ${block('use_lockfile = true')}`
    expect(await custom(text)).toEqual({ ...s3, lockfile: true })
  })
})

describe('Kubernetes by a block', () => {
  it('is where the block says', async () => {
    const text = 'backend "kubernetes" {\n secret_suffix = "net"\n namespace = "states"\n config_path = "/k"\n}'
    expect(await custom(text)).toEqual({ ...kubernetes, kubeconfig: true, suffix: 'net', namespace: 'states' })
  })

  it('is in OpenTofu’s default namespace where it says none', async () => {
    expect(await custom('backend "kubernetes" { secret_suffix = "net" }')).toMatchObject({ namespace: 'default' })
  })

  it('is in another cluster where it names one', async () => {
    const text = 'backend "kubernetes" {\n secret_suffix = "net"\n host = "https://other"\n}'
    expect(await custom(text)).toMatchObject({ type: 'unsupported', name: 'kubernetes' })
  })

  it.each(['UPPER', 'a/../b', 'x-', 'a b', 'ü', 'x'.repeat(260)])('refuses the suffix %j', async (suffix) => {
    expect(await custom(`backend "kubernetes" { secret_suffix = "${suffix}" }`)).toMatchObject({ type: 'unreadable' })
  })
})

describe('values from elsewhere', () => {
  const partial = 'backend "s3" {\n bucket = "other"\n use_lockfile = true\n}'
  const from = (...backendConfigsFrom: object[]) => ({ backendConfigsFrom })
  const secret = { kind: 'Secret', name: 'backend' }
  const configMap = { kind: 'ConfigMap', name: 'backend' }
  const full = { ...s3, lockfile: true }

  it('come over the block, from a Secret or a ConfigMap', async () => {
    const values = { ...written, access_key: 'a', 'not-one': 'x' }
    expect(await custom(partial, from(secret), reads({ 'Secret/infra/backend': values }))).toEqual(full)
    expect(await custom(partial, from(configMap), reads({ 'ConfigMap/infra/backend': values }))).toEqual(full)
  })

  it('the later ones win', async () => {
    const objects = { 'Secret/infra/backend': { ...written, key: 'old' }, 'ConfigMap/infra/backend': written }
    expect(await custom(partial, from(secret, configMap), reads(objects))).toEqual(full)
  })

  it('only those of the keys, if there are any', async () => {
    const values = { ...written, dynamodb_table: 'locks', workspace_key_prefix: 'ws' }
    const keys = ['bucket', 'key', 'region', 'access_key']
    expect(await custom(partial, from({ ...secret, keys }), reads({ 'Secret/infra/backend': values }))).toEqual(full)
  })

  it('a key that is missing is empty from a Secret, and not given from a ConfigMap', async () => {
    const keys = ['bucket']
    const text = block('use_lockfile = true')
    const objects = { 'Secret/infra/backend': {}, 'ConfigMap/infra/backend': {} }
    expect(await custom(text, from({ ...configMap, keys }), reads(objects))).toEqual(full)
    const emptied = await custom(text, from({ ...secret, keys }), reads(objects))
    expect(emptied).toEqual({ type: 'unreadable', why: 'bucket is not given' })
  })

  it('are not read where nothing in them says where the state is', async () => {
    const keys = ['access_key', 'secret_key']
    expect(await custom(block('use_lockfile = true'), from({ ...secret, keys }), reads({}))).toEqual(full)
  })

  it('may change what tofu-controller writes', async () => {
    const values = { secret_suffix: 'net', namespace: 'states', bucket: 'x' }
    const found = await backend(from(configMap), reads({ 'ConfigMap/infra/backend': values }))
    expect(found).toEqual({ ...kubernetes, suffix: 'net', namespace: 'states' })
  })

  it('endpoints among them are HCL', async () => {
    const values = { ...written, endpoints: '{ s3 = "http://a" }' }
    const found = await custom(partial, from(secret), reads({ 'Secret/infra/backend': values }))
    expect(found).toEqual({ ...full, endpoints: { s3: 'http://a' } })
    const broken = { ...written, endpoints: '{ s3 = hunter2 }' }
    const { why } = Object(await custom(partial, from(secret), reads({ 'Secret/infra/backend': broken })))
    expect(why).toContain('endpoints in Secret/infra/backend: Line 1')
    expect(why).not.toContain('hunter2')
  })

  it('that do not exist are told, unless they may be missing', async () => {
    const objects = { 'Secret/infra/backend': undefined }
    const missing = await custom(partial, from(secret), reads(objects))
    expect(missing).toMatchObject({ type: 'unreadable', why: expect.stringContaining('Secret/infra/backend') })
    const text = block('use_lockfile = true')
    expect(await custom(text, from({ ...secret, optional: true }), reads(objects))).toEqual(full)
  })

  it('that may not be read are told, with what to do', async () => {
    const denied = new ClusterError('ClusterForbidden', 'staging', 403, 'Forbidden.', 'Grant get on secrets.')
    expect(await custom(partial, from(secret), reads({ 'Secret/infra/backend': denied }))).toEqual({
      type: 'unreadable',
      why: 'Secret/infra/backend of spec.backendConfigsFrom could not be read (ClusterForbidden); Grant get on secrets.',
    })
  })

  it('any other failure is not swallowed', async () => {
    await expect(custom(partial, from(secret), reads({}))).rejects.toThrow('Secret/infra/backend was read')
  })
})

describe('other backends', () => {
  it.each(['local', 'http', 'gcs', 'azurerm', 'pg', 'consul', 'remote', 'oss'])('%s is unsupported', async (name) => {
    expect(await custom(`backend "${name}" {\n bucket = "x"\n}`)).toEqual({
      type: 'unsupported',
      name,
      why: expect.any(String),
    })
  })

  it('a cloud block is unsupported', async () => {
    const text = 'cloud {\n organization = "o"\n workspaces { name = "w" }\n}'
    expect(await custom(text)).toMatchObject({ type: 'unsupported', name: 'cloud' })
  })

  it('no block at all is unlocked', async () => {
    expect(await custom('required_version = "1"')).toMatchObject({ type: 'unlocked' })
    expect(await custom('  \n# nothing')).toMatchObject({ type: 'unlocked' })
  })
})

describe('what is hostile or broken is unreadable, and says why', () => {
  it.each([
    ['a reference', block('dynamodb_table = var.table'), 'Line 5'],
    ['a heredoc', block('dynamodb_table = <<X'), 'Line 5'],
    ['a way out of the block', `${block('use_lockfile = true')}\n}\nterraform {`, 'Line 7'],
    ['two backends', `${block()} ${block()}`, 'second block'],
    ['a backend and a cloud', `${block()} cloud {}`, 'second block'],
    ['a backend without a label', 'backend {}', 'one label'],
    ['a backend with two labels', 'backend "s3" "x" {}', 'one label'],
    ['a bucket that is an address', block('use_lockfile = true').replace('tfst', '../../x'), 'bucket'],
    ['a bucket that is a list', block('use_lockfile = true').replace('"tfst"', '["tfst"]'), 'bucket must be text'],
    ['a region that is a host', block('use_lockfile = true').replace('eu-west-1', 'x.example/'), 'region'],
    ['a region with a line end', block('use_lockfile = true').replace('eu-west-1', 'eu-west-1\\n'), 'region'],
    ['a key with a slash', block('use_lockfile = true').replace('vpc/', '/vpc/'), 'slash'],
    ['no key', 'backend "s3" {\n bucket = "b"\n}', 'key is not given'],
    ['a table that is none', block('dynamodb_table = "a/b"'), 'dynamodb_table'],
    ['a switch that is none', block('use_lockfile = "perhaps"'), 'use_lockfile must be true or false'],
    ['endpoints that are text', block('use_lockfile = true\n endpoints = "http://a"'), 'endpoints'],
    ['a long text', `# ${'x'.repeat(70_000)}`, 'too long'],
  ])('%s', async (_, text, why) => {
    expect(await custom(text)).toEqual({ type: 'unreadable', why: expect.stringContaining(why) })
  })

  it.each([
    [undefined],
    [null],
    ['x'],
    [{}],
    [{ metadata: { namespace: 'a', name: 'b' } }],
    [terraform({ backendConfig: 'x' })],
    [terraform({ backendConfig: { customConfiguration: 7 } })],
    [terraform({ backendConfigsFrom: [{ kind: 'Pod', name: 'x' }] })],
    [terraform({ workspace: {} })],
  ])('%j', async (raw) => {
    expect(await backendOf(raw, nothing)).toMatchObject({ type: 'unreadable' })
  })

  it('without repeating what it says', async () => {
    const texts = [block('token = hunter2'), block('secret_key = "hunter2'), block('use_lockfile = "hunter2"')]
    for (const text of texts) expect(JSON.stringify(await custom(text))).not.toContain('hunter2')
  })
})
