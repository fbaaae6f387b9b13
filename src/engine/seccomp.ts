import type { LinuxSeccomp } from '../spec/runtime-config.ts';
import type { Engine } from './engine.ts';
