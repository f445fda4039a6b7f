export const deployment = 'Deployment/flux-system/tofu-controller'
export const release = 'HelmRelease/flux-system/tofu-controller'
export const root = 'Kustomization/flux-system/flux-system'
/** The object whose state is locked. */
export const vpc = 'Terraform/flux-system/vpc'
/** Another one, which runs beside it. */
export const database = 'Terraform/flux-system/database'

export type TerraformKey = typeof vpc | typeof database

export function runnerKey(object: TerraformKey): string {
  return `Pod/flux-system/${object.split('/')[2]}-tf-runner`
}
