/** Images with more pixels are refused: their samples would not fit into a browser tab. */
export const MAX_PIXELS = 200e6;
