/** Kept equal to package.json by tools/tidy. */
export const version = '0.1.0';
