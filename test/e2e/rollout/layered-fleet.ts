import type { ObjectRef } from '../../../functions/lib/kubernetes/cluster.ts'

/**
 * A fleet of five layers in one namespace of a real cluster, as files of a Git repository: the root, which applies
 * the others; a network and a database, which OpenTofu makes; an add-on, which Helm installs; an app.
 */
export interface LayeredFleet {
  /** What is bootstrapped by hand: the source and the root. */
  readonly roots: readonly object[]
  /** All files at the first commit. */
  readonly files: Readonly<Record<string, string>>
  readonly root: ObjectRef
  readonly vpc: ObjectRef
  readonly db: ObjectRef
  readonly ingress: ObjectRef
  readonly app: ObjectRef
}

export interface LayeredFleetOptions {
  readonly namespace: string
  /** Of the Git repository. */
  readonly url: string
  /** File that OpenTofu's Kubernetes backend reads. */
  readonly kubeconfig: string
}

/** Order of the layers in the fleet's file; the root has none and comes first. */
export const layers = ['network', 'database', 'addons', 'apps'] as const

export function layeredFleet({ namespace, url, kubeconfig }: LayeredFleetOptions): LayeredFleet {
  const ref = (kind: ObjectRef['kind'], name: string): ObjectRef => ({ kind, namespace, name })
  const sourceRef = { kind: 'GitRepository', name: 'fleet' }
  const manifest = (apiVersion: string, kind: string, name: string, spec: object, layer?: string) => ({
    apiVersion,
    kind,
    metadata: { name, namespace, ...(layer && { labels: { 'lockstep.dev/layer': layer } }) },
    // Nothing but pushes starts a run in the time of a test.
    spec: { interval: '1h', ...spec },
  })
  const kustomization = (name: string, layer?: string) =>
    manifest(
      'kustomize.toolkit.fluxcd.io/v1',
      'Kustomization',
      name,
      { path: `./${name}`, prune: true, retryInterval: '5s', sourceRef },
      layer,
    )
  const terraform = (name: string, layer: string) =>
    manifest(
      'infra.contrib.fluxcd.io/v1alpha2',
      'Terraform',
      name,
      {
        ...{ path: `./${name}`, approvePlan: 'auto', retryInterval: '2s', runnerTerminationGracePeriodSeconds: 1 },
        ...{ sourceRef, backendConfig: { secretSuffix: name, inClusterConfig: false, configPath: kubeconfig } },
      },
      layer,
    )
  const helmRelease = (name: string, layer: string) =>
    manifest(
      'helm.toolkit.fluxcd.io/v2',
      'HelmRelease',
      name,
      { chart: { spec: { chart: `./charts/${name}`, reconcileStrategy: 'Revision', sourceRef } } },
      layer,
    )
  const configMap = (name: string, version: number) => ({
    ...{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace }, data: { version: `${version}` } },
  })
  return {
    roots: [
      manifest('source.toolkit.fluxcd.io/v1', 'GitRepository', 'fleet', { url, ref: { branch: 'main' } }),
      kustomization('root'),
    ],
    files: {
      'root/vpc.yaml': yaml(terraform('vpc', 'network')),
      'root/db.yaml': yaml(terraform('db', 'database')),
      'root/ingress.yaml': yaml(helmRelease('ingress', 'addons')),
      'root/app.yaml': yaml(kustomization('app', 'apps')),
      'vpc/main.tf': mainTf,
      'db/main.tf': mainTf,
      ...run('vpc', 0, 0),
      ...run('db', 0, 0),
      'charts/ingress/Chart.yaml': yaml({ apiVersion: 'v2', name: 'ingress', version: '0.1.0' }),
      'charts/ingress/templates/config.yaml': yaml({ ...configMap('ingress', 1) }),
      'app/config.yaml': yaml(configMap('app', 1)),
    },
    root: ref('Kustomization', 'root'),
    vpc: ref('Terraform', 'vpc'),
    db: ref('Terraform', 'db'),
    ingress: ref('HelmRelease', 'ingress'),
    app: ref('Kustomization', 'app'),
  }
}

/** JSON is YAML. */
export function yaml(object: object): string {
  return `${JSON.stringify(object, undefined, 2)}\n`
}

/** Every new `number` is a change to apply, which takes that many seconds. With `failing` the apply fails. */
export function run(name: string, number: number, seconds: number, failing = false): Record<string, string> {
  return { [`${name}/run.json`]: `${JSON.stringify({ number, seconds, exit: failing ? 1 : 0 })}\n` }
}

/** Compiled into OpenTofu: an apply that takes time and needs no provider from a registry. */
export const mainTf = `locals {
  run = jsondecode(file("\${path.module}/run.json"))
}

resource "terraform_data" "this" {
  triggers_replace = [local.run.number]

  provisioner "local-exec" {
    command = "sleep \${local.run.seconds}; exit \${local.run.exit}"
  }
}
`
