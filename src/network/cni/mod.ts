/**
 * Networks of CNI plugins (specification 0.1 to 1.1): somebody else's programs make links and addresses in a namespace of ours. Part of `tare/network`; nothing here knows what a container is.
 *
 * Before an ADD there is a record of it, on the disk, and what a plugin runs under is a lock that it inherits: whoever is killed when, the DEL that is due can be found, and waits for a plugin that still runs.
 *
 * Read in this order: cni-network and conf-dir (configurations); spec-version and choose-version; run-plugin and cni-error (one call of one plugin); plugin-config and result (what goes in and comes out); attachments (what
 * is remembered); add, delete, check, collect (the verbs).
 */
export { addCni, type CniWish } from './add.ts';
export { attachmentsOf, type CniAttachment, containersWithAttachments, resultOf } from './attachments.ts';
export { checkCni } from './check.ts';
export { pluginVersions } from './choose-version.ts';
export { type CniCommand, CniError } from './cni-error.ts';
export { type CniNetwork, type CniPlugin, parseCniNetwork } from './cni-network.ts';
export { CNI_CONF_DIR, type CniConfDir, findCniNetwork, readCniConfDir } from './conf-dir.ts';
export { cniStatus, collectCni, type ValidAttachment } from './collect.ts';
export { type CniGround, deleteAllCni, deleteCni } from './delete.ts';
export { CNI_PLUGIN_DIRS } from './find-plugin.ts';
export { capabilitiesOf } from './plugin-config.ts';
export { type CniAddress, type CniDns, type CniInterface, type CniResult, type CniRoute } from './result.ts';
export { type PluginGround } from './run-plugin.ts';
export { CNI_VERSIONS, type CniVersion } from './spec-version.ts';
