/** Decimal places as C prints them: exact, and a half goes to the even digit (JavaScript's `toFixed` takes the larger). */

export function formatFixed(number: number, decimals: number): string {
  const scaled = number * 10 ** decimals;
  // Only a number with so few binary places can lie exactly between two decimal ones; then `scaled` is exact too.
  const isTie = Number.isInteger(number * 2 ** (decimals + 1)) && scaled % 1 === 0.5;
  if (!isTie) return number.toFixed(decimals);
  const below = Math.floor(scaled);
  return ((below % 2 === 0 ? below : below + 1) / 10 ** decimals).toFixed(decimals);
}

/** `%.3g`, for numbers from 0 to 1000. */
export function formatThreeDigits(number: number): string {
  const exponent = number === 0 ? 0 : Number(number.toExponential().split("e")[1]);
  const text = formatFixed(number, 2 - exponent);
  if (text.length > 3 && !text.includes(".")) return "1e+03";
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}
