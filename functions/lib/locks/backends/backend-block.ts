import * as z from 'zod'
import { type HclObject, HclRefused, readHcl } from './hcl.ts'

/** `spec.backendConfig` of a Terraform, as far as it says where the state is. */
export const backendConfigSchema = z.looseObject({
  disable: z.boolean().default(false),
  secretSuffix: z.string().default(''),
  configPath: z.string().default(''),
  /** Goes into `terraform { }` as it is. */
  customConfiguration: z.string().default(''),
})

/** The block `backend "s3" { }`: its label and its attributes. */
export interface BackendBlock {
  readonly name: string
  readonly attributes: HclObject
}

export interface BackendBlockOwner {
  readonly namespace: string
  readonly name: string
  readonly backendConfig?: z.infer<typeof backendConfigSchema> | undefined
}

/**
 * The block that tofu-controller puts beside an object's module: its own configuration, or Kubernetes in the object's
 * namespace, by the object's name where there is no backendConfig at all. Undefined where it puts none: then the
 * module's own files say where the state is. Throws HclRefused.
 */
export function backendBlockOf({ namespace, name, backendConfig }: BackendBlockOwner): BackendBlock | undefined {
  if (backendConfig?.disable) return undefined
  if (backendConfig?.customConfiguration) return writtenIn(backendConfig.customConfiguration)
  const attributes = new Map([
    ['namespace', namespace],
    // With a backendConfig nothing is filled in.
    ['secret_suffix', backendConfig ? backendConfig.secretSuffix : name],
  ])
  if (backendConfig?.configPath) attributes.set('config_path', backendConfig.configPath)
  return { name: 'kubernetes', attributes }
}

function writtenIn(configuration: string): BackendBlock | undefined {
  const { blocks } = readHcl(configuration, ['backend', 'cloud'])
  const [block, second] = blocks
  if (second) throw new HclRefused(second.line, 'a second block says where the state is')
  if (!block) return undefined
  if (block.type === 'cloud') return { name: 'cloud', attributes: block.body.attributes }
  const [name, ...more] = block.labels
  if (name === undefined || more.length > 0) throw new HclRefused(block.line, 'a backend block needs one label')
  return { name, attributes: block.body.attributes }
}
