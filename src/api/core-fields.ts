/**
 * Fields of the Kubernetes objects beside VirtualMachine and VirtualMachineInstance, in the notation of
 * kubevirt-fields.gen.ts.
 */
import { INSTANCETYPE_KINDS, PREFERENCE_KINDS, STORAGE_KINDS } from "./kinds.ts";

export const CORE_FIELDS: Readonly<Record<string, string>> = {
  VirtualMachine: "apiVersion!:string kind!:string metadata!:ObjectMeta spec!:VirtualMachineSpec status:any",
  VirtualMachineInstance:
    "apiVersion!:string kind!:string metadata!:ObjectMeta spec!:VirtualMachineInstanceSpec status:any",
  VirtualMachineInstanceReplicaSet:
    "apiVersion!:string kind!:string metadata!:ObjectMeta spec!:VirtualMachineInstanceReplicaSetSpec status:any",
  VirtualMachineInstanceReplicaSetSpec:
    "replicas:int paused:bool selector:any template!:VirtualMachineInstanceTemplateSpec",
  VirtualMachinePool:
    "apiVersion!:string kind!:string metadata!:ObjectMeta spec!:VirtualMachinePoolSpec status:any",
  VirtualMachinePoolSpec:
    "replicas:int paused:bool selector:any maxUnavailable:any nameGeneration:any scaleInStrategy:any " +
    "updateStrategy:any autohealing:any virtualMachineTemplate!:VirtualMachineTemplateSpec",
  VirtualMachineTemplateSpec: "metadata:ObjectMeta spec!:VirtualMachineSpec",
  Service: "apiVersion!:string kind!:string metadata!:ObjectMeta spec!:ServiceSpec status:any",
  Secret:
    "apiVersion!:string kind!:string metadata!:ObjectMeta type:string data:{}text stringData:{}text immutable:bool",
  ConfigMap:
    "apiVersion!:string kind!:string metadata!:ObjectMeta data:{}text binaryData:{}text immutable:bool",
  NetworkAttachmentDefinition:
    "apiVersion!:string kind!:string metadata!:ObjectMeta spec:NetworkAttachmentDefinitionSpec",

  // Read as they are, for the VMs of the same files: instancetypes.ts, cluster-storage.ts.
  ...Object.fromEntries(
    [...INSTANCETYPE_KINDS, ...PREFERENCE_KINDS, ...STORAGE_KINDS].map((kind) => [
      kind,
      "apiVersion!:string kind!:string metadata!:ObjectMeta spec:any status:any",
    ]),
  ),

  ObjectMeta:
    "name:string generateName:string namespace:string uid:string resourceVersion:string generation:int " +
    "creationTimestamp:string deletionTimestamp:string deletionGracePeriodSeconds:int selfLink:string " +
    "labels:{}string annotations:{}text ownerReferences:OwnerReference[] finalizers:string[] managedFields:any[]",
  OwnerReference:
    "apiVersion!:string kind!:string name!:string uid!:string controller:bool blockOwnerDeletion:bool",

  ServiceSpec:
    "type:string selector:{}string ports:ServicePort[] clusterIP:string clusterIPs:string[] " +
    "ipFamilies:string[] ipFamilyPolicy:string sessionAffinity:string sessionAffinityConfig:any " +
    "externalIPs:string[] externalName:string externalTrafficPolicy:string internalTrafficPolicy:string " +
    "loadBalancerIP:string loadBalancerClass:string loadBalancerSourceRanges:string[] healthCheckNodePort:int " +
    "publishNotReadyAddresses:bool allocateLoadBalancerNodePorts:bool trafficDistribution:string",
  ServicePort: "name:string protocol:string port:int targetPort:intstr nodePort:int appProtocol:string",
  NetworkAttachmentDefinitionSpec: "config:text",
};
