import { join } from 'node:path'
import { resources } from '../../../functions/lib/kubernetes/cluster.ts'
import type { Api } from '../cluster/api.ts'
import { applyCrds } from '../cluster/crds.ts'
import { kinds } from '../cluster/kinds.ts'
import { crdFiles } from '../upstream/go-build.ts'
import type { TofuController } from '../upstream/tofu-controller.ts'

/** tofu-controller's own CRDs where they are given; else one that takes anything for a Terraform object. */
export async function applyTerraformCrd(api: Api, tofu: TofuController): Promise<void> {
  if (tofu.kind === 'real') return applyCrds(api, await crdFiles(join(tofu.directory, 'crds')))
  const { kind, group, version, plural } = resources.Terraform
  const crd = { ...kinds.CustomResourceDefinition, name: `${plural}.${group}` }
  const anything = { type: 'object', 'x-kubernetes-preserve-unknown-fields': true }
  const names = { kind, plural, singular: kind.toLowerCase(), listKind: `${kind}List` }
  const served = { name: version, served: true, storage: true, subresources: { status: {} } }
  await api.apply({
    ...kinds.CustomResourceDefinition,
    metadata: { name: crd.name },
    spec: { group, names, scope: 'Namespaced', versions: [{ ...served, schema: { openAPIV3Schema: anything } }] },
  })
  await api.until(crd, 'Established', ({ status }) =>
    status?.conditions?.some(
      (each: { type: string; status: string }) => each.type === 'Established' && each.status === 'True',
    ),
  )
}
