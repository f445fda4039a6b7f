/** Manifests of a small fleet in Git: a root Kustomization that applies one object for each of four layers. */

const namespace = 'flux-system'
const sourceRef = { kind: 'GitRepository', name: 'fleet-infra' }

interface More {
  readonly layer?: string
  readonly annotations?: Record<string, string>
  readonly spec?: object
}

function manifest(apiVersion: string, kind: string, name: string, spec: object, more: More) {
  return {
    apiVersion,
    kind,
    metadata: {
      name,
      namespace,
      ...(more.layer && { labels: { 'lockstep.dev/layer': more.layer } }),
      ...(more.annotations && { annotations: more.annotations }),
    },
    spec: { interval: '1h', ...spec, ...more.spec },
  }
}

export const source = (more: More = {}) =>
  manifest(
    'source.toolkit.fluxcd.io/v1',
    'GitRepository',
    'fleet-infra',
    {
      url: 'https://github.com/my-org/fleet-infra',
      ref: { branch: 'main' },
    },
    more,
  )

export const kustomization = (name: string, more: More = {}) =>
  manifest(
    'kustomize.toolkit.fluxcd.io/v1',
    'Kustomization',
    name,
    {
      retryInterval: '30s',
      path: `./${name}`,
      prune: true,
      sourceRef,
    },
    more,
  )

export const terraform = (name: string, more: More = {}) =>
  manifest(
    'infra.contrib.fluxcd.io/v1alpha2',
    'Terraform',
    name,
    {
      approvePlan: 'auto',
      path: `./terraform/${name}`,
      sourceRef,
    },
    more,
  )

export const helmRepository = () =>
  manifest('source.toolkit.fluxcd.io/v1', 'HelmRepository', 'charts', { url: 'https://charts.example.com' }, {})

export const helmRelease = (name: string, more: More = {}) =>
  manifest(
    'helm.toolkit.fluxcd.io/v2',
    'HelmRelease',
    name,
    {
      chart: { spec: { chart: name, version: '1.x', sourceRef: { kind: 'HelmRepository', name: 'charts' } } },
    },
    more,
  )

export const configMap = (name: string, data: Record<string, string> = {}) => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  metadata: { name, namespace: 'default' },
  data,
})

/** What the root Kustomization applies, by layer. */
export const layered = {
  vpc: terraform('vpc', { layer: 'network' }),
  db: terraform('db', { layer: 'database', spec: { dependsOn: [{ name: 'vpc' }] } }),
  ingress: helmRelease('ingress', { layer: 'addons' }),
  app: kustomization('app', { layer: 'apps' }),
}

/** The repository's files at the first commit. */
export const files = {
  'root/all.yaml': [helmRepository(), ...Object.values(layered)],
  'app/config.yaml': [configMap('app', { version: '1' })],
}

/** What was bootstrapped by hand: the source and the root. */
export const roots = [source(), kustomization('root')]

export const keys = {
  root: 'Kustomization/flux-system/root',
  vpc: 'Terraform/flux-system/vpc',
  db: 'Terraform/flux-system/db',
  ingress: 'HelmRelease/flux-system/ingress',
  app: 'Kustomization/flux-system/app',
  source: 'GitRepository/flux-system/fleet-infra',
} as const
