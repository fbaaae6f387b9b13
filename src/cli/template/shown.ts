/**
 * A value that docker prints as a text and podman keeps as data: templates print the text and take fields, items and lengths of the value.
 * `{{.Labels}}` is `a=1,b=2`, `{{.Labels.a}}` is `1`.
 */
export class Shown {
  readonly text: string;
  readonly value: object;

  constructor(text: string, value: object) {
    this.text = text;
    this.value = value;
  }

  toString(): string {
    return this.text;
  }

  toJSON(): string {
    return this.text;
  }
}
