/** The folder of a module, whatever query its address has. */
export const folderOf = (address: string): string => address.replace(/[^/]*(\?.*)?$/, "");
