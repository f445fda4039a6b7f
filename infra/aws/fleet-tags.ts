import { type Stack, Tags } from 'aws-cdk-lib'
import type { Fleet } from '../../functions/lib/fleet.ts'

/** Puts the fleet's tags on a stack, and on everything in it that can have tags. */
export function addFleetTags(stack: Stack, { tags }: Pick<Fleet, 'tags'>): void {
  for (const [key, value] of Object.entries(tags)) Tags.of(stack).add(key, value)
}
