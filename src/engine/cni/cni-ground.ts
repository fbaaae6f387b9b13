import { CNI_CONF_DIR } from '../../network/cni/conf-dir.ts';
import type { CniGround } from '../../network/cni/delete.ts';
import { pluginDirsOf } from '../../network/cni/find-plugin.ts';
import type { Engine } from '../engine.ts';
import { cniPinDir, cniStateDir } from './cni-names.ts';

/** Where an engine's CNI networks are: as cnitool has it, CNI_PATH and NETCONFPATH say where plugins and configurations are. */
export function cniGround(engine: Engine): CniGround & { readonly confDir: string; readonly pinDir: string } {
  return {
    stateDir: cniStateDir(engine),
    pluginDirs: pluginDirsOf(engine.env['CNI_PATH']),
    confDir: engine.env['NETCONFPATH'] || CNI_CONF_DIR,
    pinDir: cniPinDir(engine),
  };
}
