import * as z from 'zod'

const variableSchema = z.object({
  name: z.string(),
  value: z.string().optional(),
  valueFrom: z.object({ fieldRef: z.object({ fieldPath: z.string() }).optional() }).optional(),
})

const containerSchema = z.object({
  name: z.string(),
  image: z.string().default(''),
  args: z.array(z.string()).default([]),
  env: z.array(variableSchema).default([]),
  envFrom: z.array(z.unknown()).default([]),
})

/** As much of a Pod as the kubelet looks at. Pods have one container each: it runs the first. */
export const podSchema = z.object({
  metadata: z.object({
    name: z.string(),
    namespace: z.string(),
    uid: z.string(),
    resourceVersion: z.string(),
    labels: z.record(z.string(), z.string()).default({}),
    deletionTimestamp: z.string().optional(),
    /** Seconds. A later delete can make it shorter. */
    deletionGracePeriodSeconds: z.number().optional(),
  }),
  spec: z.object({
    nodeName: z.string().optional(),
    containers: z.tuple([containerSchema], containerSchema),
  }),
  status: z.object({ phase: z.string().optional() }).default({}),
})

export type Pod = z.infer<typeof podSchema>
