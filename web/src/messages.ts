/** What `<wavepaint-editor>` and the page inside it say to each other. */

/** Messages of the element to the page. */
export type Ask =
  | { readonly wavepaint: "open"; readonly id: number; readonly file: Blob; readonly name: string }
  | { readonly wavepaint: "result"; readonly id: number; readonly type: "image/png" | "source" }
  | { readonly wavepaint: "mask"; readonly id: number };

/** Messages of the page to the element. */
export type Answer =
  | { readonly wavepaint: "ready" | "change" }
  | { readonly wavepaint: "answer"; readonly id: number; readonly value: Blob | null }
  | { readonly wavepaint: "failure"; readonly id: number; readonly reason: string };
