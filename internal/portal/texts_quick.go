package portal

import (
	"fmt"

	"github.com/seed-240d5494/caddy-impersonate/internal/lang"
)

// quickTexts are the words of what the list begins with, of stars, and of what a start needs, in one language. StarOf has
// a name, ExtendBy a length of time.
type quickTexts struct {
	Favourites, Recent, Everyone, StarOf, Full string
	// Of the account in use.
	Since, TimeLeft, ExtendBy string
	Needs                     map[string]string
}

// Star names the star of somebody.
func (t *quickTexts) Star(name string) string { return fmt.Sprintf(t.StarOf, name) }

var quickLanguages = lang.Texts[*quickTexts]{
	"en": {
		Favourites: "Favourites", Recent: "Recently used", Everyone: "Everyone", StarOf: "Favourite: %s",
		Full:  "You have as many favourites as you can have. Take a star off first.",
		Since: "Since", TimeLeft: "Time left", ExtendBy: "Add %s",
		Needs: map[string]string{needApproval: "Needs approval", needConsent: "Needs their agreement", needStepUp: "Needs a fresh login"},
	},
	"de": {
		Favourites: "Favoriten", Recent: "Zuletzt verwendet", Everyone: "Alle", StarOf: "Favorit: %s",
		Full:  "Mehr Favoriten sind nicht möglich. Nehmen Sie zuerst einen Stern weg.",
		Since: "Seit", TimeLeft: "Restzeit", ExtendBy: "Um %s verlängern",
		Needs: map[string]string{needApproval: "Genehmigung nötig", needConsent: "Zustimmung der Person nötig", needStepUp: "Neue Anmeldung nötig"},
	},
	"fr": {
		Favourites: "Favoris", Recent: "Utilisés récemment", Everyone: "Tout le monde", StarOf: "Favori : %s",
		Full:  "Vous ne pouvez pas avoir plus de favoris. Retirez d’abord une étoile.",
		Since: "Depuis", TimeLeft: "Temps restant", ExtendBy: "Prolonger de %s",
		Needs: map[string]string{needApproval: "Approbation nécessaire", needConsent: "Accord de la personne nécessaire", needStepUp: "Nouvelle connexion nécessaire"},
	},
	"es": {
		Favourites: "Favoritos", Recent: "Usadas recientemente", Everyone: "Todas", StarOf: "Favorito: %s",
		Full:  "No puede tener más favoritos. Quite primero una estrella.",
		Since: "Desde", TimeLeft: "Tiempo restante", ExtendBy: "Añadir %s",
		Needs: map[string]string{needApproval: "Necesita aprobación", needConsent: "Necesita el acuerdo de la persona", needStepUp: "Necesita iniciar sesión de nuevo"},
	},
	"ja": {
		Favourites: "お気に入り", Recent: "最近使用した人", Everyone: "全員", StarOf: "お気に入り:%s",
		Full:  "お気に入りの数が上限に達しています。先にいずれかの星を外してください。",
		Since: "開始", TimeLeft: "残り時間", ExtendBy: "%s延長する",
		Needs: map[string]string{needApproval: "承認が必要", needConsent: "本人の同意が必要", needStepUp: "再ログインが必要"},
	},
}
