const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
export const MAX_CNI_NAME = 128;

/** Whether this can be the name of a network, or of a plugin's program: no path, and nothing that a shell or a terminal would take for something else. */
export const isCniName = (name: string): boolean => name.length <= MAX_CNI_NAME && NAME.test(name);
