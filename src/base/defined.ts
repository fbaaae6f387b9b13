/** The same properties without those that are undefined: "not given" is absence, as exactOptionalPropertyTypes wants it. */
export function definedOf<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}

/** The same for an object of a known type, whose optional properties are written as perhaps undefined. */
export function dropUndefined<T extends object>(value: { [K in keyof T]: T[K] | undefined }): T {
  return definedOf(value) as T;
}
